"""The controller: answers agents, schedules launches, and sees to it that nothing is left lying."""
