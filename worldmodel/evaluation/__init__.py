"""What a trained run can do: control, probing, surprise."""
