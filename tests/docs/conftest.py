"""What is not collected: it needs packages that only one page asks for."""

collect_ignore = ["own_network.py"]
