"""A callback for ansible-core that tells of a run what the conformance suite compares."""

import json
import os

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: trueup_events
type: notification
short_description: events for Trueup's conformance suite
"""
INCLUDES = ("include_tasks", "include_role")


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "trueup_events"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self.task = 0

    def write(self, **line):
        with open(os.environ["TRUEUP_EVENTS"], "a") as out:
            out.write(json.dumps(line, default=str) + "\n")

    def v2_playbook_on_task_start(self, task, is_conditional):
        self.task += 1

    def v2_playbook_on_handler_task_start(self, task):
        self.task += 1

    @staticmethod
    def name(task):
        """Which role an include stands for is left out: the name may be a template."""
        return task.name or "include_role" if task.action.endswith("include_role") else task.get_name()

    def tell(self, result, status, item=None):
        task, values = result._task, result._result
        action = task.action.rsplit(".", 1)[-1]
        if action == "meta" or (action in INCLUDES and status == "ok"):
            return
        handler = "handler " if type(task).__name__.startswith("Handler") else ""
        # What cannot be rendered is left as written.
        acting = task.delegate_to if task.delegate_to and "{{" not in task.delegate_to else None
        delegated = acting and status != "skipped" and acting != result._host.get_name()
        who = result._host.get_name() + (f"->{acting}" if delegated else "")
        text = f"{who} {status} {handler}{self.name(task)}"
        if item is not None:
            item = item if isinstance(item, str) else json.dumps(item, separators=(",", ":"))
            text += f" ({item})"
        message = values.get("msg")
        if action in ("debug", "fail") and status not in ("skipped",) and message is not None:
            text += f": {message if isinstance(message, str) else json.dumps(message, separators=(',', ':'))}"
        more = {"item": item, "status": status, "name": self.name(task), "action": task.action, "values": values}
        self.write(task=self.task, host=result._host.get_name(), text=text, **more)

    def whole(self, result, status):
        if result._task.loop is not None and "results" in result._result and status != "unreachable":
            if not (status == "skipped" and not result._result["results"]):
                return
        self.tell(result, status)

    def v2_runner_on_ok(self, result):
        self.whole(result, "changed" if result._result.get("changed") else "ok")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self.whole(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_skipped(self, result):
        self.whole(result, "skipped")

    def v2_runner_on_unreachable(self, result):
        self.whole(result, "unreachable")

    def item(self, result, status):
        self.tell(result, status, result._result.get("_ansible_item_label", result._result.get("item")))

    def v2_runner_item_on_ok(self, result):
        self.item(result, "changed" if result._result.get("changed") else "ok")

    def v2_runner_item_on_failed(self, result):
        self.item(result, "ignored" if result._task.ignore_errors else "failed")

    def v2_runner_item_on_skipped(self, result):
        self.item(result, "skipped")

    def v2_playbook_on_include(self, included):
        for host in included._hosts:
            name = self.name(included._task)
            more = {"item": None, "status": "ok", "name": name, "action": included._task.action, "values": {}}
            self.write(task=self.task, host=host.get_name(), text=f"{host.get_name()} ok {name}", **more)

    def v2_playbook_on_stats(self, stats):
        for host in sorted(stats.processed):
            one = stats.summarize(host)
            counts = " ".join(
                f"{name}={one[key]}"
                for name, key in [
                    ("ok", "ok"),
                    ("changed", "changed"),
                    ("unreachable", "unreachable"),
                    ("failed", "failures"),
                    ("skipped", "skipped"),
                    ("rescued", "rescued"),
                    ("ignored", "ignored"),
                ]
            )
            self.write(task=-2, host=host, recap=f"recap {host} {counts}")
