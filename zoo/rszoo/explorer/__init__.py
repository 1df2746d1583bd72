"""A local page on which one certificate is watched as it comes about, and its promise is tried.

Nothing on it is computed in another way than elsewhere: a certificate is that of
`Classifier.certify`, whose votes are looked at as they arrive; the answer at a point nearby is
that of `predict`.

serve.py       the process
app.py         the routes, and what they refuse
asked.py       what requests may ask for
work.py        the one thread that computes, and streams of events
session.py     the model, its relatives, its test images and the seed of all noise
pictures.py    the images that certificates are asked for, and pictures of them
watched.py     a classifier that tells of its votes
standing.py    what the votes say so far, which certifies nothing
certifying.py  from an image to the events of its certificate
why.py         which part of a composed model decides, and why
moving.py      an image moved by a distance, and what is answered there
static/        the page
"""
