"""Files against delivery profiles: what a rule may name, how a file is judged by it, and what is recorded of that."""
