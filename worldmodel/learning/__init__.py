"""How a world model learns: encoder methods and losses, latent dynamics, constants, the training loop."""
