"""What can be identified before anything is learned: Fisher information of an excitation, and a better excitation."""
