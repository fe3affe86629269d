"""Promotion and rollback as commands, and the adapters of training/deployer.py that change what is served."""
