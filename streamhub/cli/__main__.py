"""`python -m streamhub.cli`, for those who start it as a child process."""

from streamhub.cli import main

main()
