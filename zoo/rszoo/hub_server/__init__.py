"""A Hugging Face hub in one process and one folder, for offline teams and for tests.

It speaks the part of the Hub's HTTP interface that `huggingface_hub` and `hf` use for models, data
sets and the files of Spaces, which nothing here runs: repositories, commits, LFS uploads,
downloads by range, branches, tags, listings. There is no Xet here (clients set
HF_HUB_DISABLE_XET=1), no git, no pull requests and no users: one token writes, and perhaps another
reads what is private.

serve.py      the process: socket, lock, uvicorn
app.py        the routes
store.py      the folder: repositories, changed one at a time, and
blobs.py      the bodies of files, by their sha256
layout.py     how repositories lie there
repo.py       a repository as data, and its changes as functions
history.py    its commits, and the files of each
attributes.py which files go by LFS
names.py      which names and paths are accepted
asked.py      which values
limits.py     how much is taken at a time, and how long it may take
access.py     tokens, and signed addresses for uploads
errors.py     what the client is told when something cannot be done
"""
