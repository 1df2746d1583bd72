"""From a network to a certificate: noise and votes, predict, certify."""
