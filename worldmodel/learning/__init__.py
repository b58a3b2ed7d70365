"""How a world model learns: methods and losses of the encoder, latent dynamics, constants, the training loop."""
