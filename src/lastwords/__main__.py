"""`python -m lastwords`: the command line of exactly this interpreter."""

from lastwords.cli import main

if __name__ == "__main__":
    main()
