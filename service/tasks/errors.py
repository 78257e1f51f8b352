from service.kit.problems import Forbidden, NotFound


class TaskNotFound(NotFound):
    code, message = "task_not_found", "Task not found"


class NotYourTask(Forbidden):
    code, message = "not_your_task", "This task belongs to another user"
