"""Importing: a firm out of what is there already, chats (masked) or a domain of tau2-bench."""
