"""Certificates of a whole data set: certification logs, metrics and pictures made from them."""
