"""The tests that take longest, by the beginnings of their names."""

LONGEST = ("test_quickstart_on_two_processes", "test_two_processes_of_zero2_go_on", "test_killed_and_told_to_end")
