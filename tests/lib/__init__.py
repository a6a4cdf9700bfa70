"""What the black-box tests share: processes, polling, HTTP and PostgreSQL. Knows no C code of the house."""
