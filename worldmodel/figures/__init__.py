"""Pictures and videos, drawn from plain arrays and numbers; knows no stage."""
