"""The leaderboard: certified models side by side, and published numbers for reference.

entry       one certified model: who made what, and what its log says
published   the numbers of the literature, as entries
board       entries -> groups that may be compared, and notes where they may not
columns     a group -> the cells of its table, the same for every output
markdown, data, page   the outputs; the terminal's is in `rszoo_cli`

Where entries come from (bundles, logs, hubs) is the matter of `rszoo.training.entries`.
"""
