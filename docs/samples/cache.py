"""Keeps positive answers about tokens for protect.py, and drops them by the feed of revocations: a revoked token is refused within the
bound, whatever is down. Without the feed each token is asked about. ask(token) returns an answer; feed(after, wait) a page."""
import hashlib, logging, threading, time

MAX_AGE, ENTRIES = 300, 10_000  # seconds, and answers


def moment():
    return time.monotonic(), time.time()


def elapsed(start):
    """Goes by the clock that went further: one may stand still while a machine sleeps, and the other one may be set back."""
    return max(now - then for now, then in zip(moment(), start))


class Keeping:
    def __init__(self, ask, feed, bound):
        self.ask, self.feed, self.bound = ask, feed, bound
        self.lock, self.kept = threading.Lock(), {}  # by the hash of the token, the oldest first
        self.heard, self.complete = 0, None  # how often something was dropped; when the last request was sent that was answered in full
        threading.Thread(target=self.follow, daemon=True).start()

    def __call__(self, token):
        key = hashlib.sha256(token.encode()).digest()
        with self.lock:
            answer, at = self.kept.get(key, (None, None))
            if answer and self.complete and elapsed(self.complete) < self.bound and elapsed(at) < MAX_AGE and answer["exp"] > time.time():
                return answer
            before, at = self.heard, moment()
        answer = self.ask(token)
        with self.lock:
            self.kept.pop(key, None)
            if answer["active"] and "exp" in answer and before == self.heard:  # else it may be older than a revocation
                if len(self.kept) >= ENTRIES:
                    del self.kept[next(iter(self.kept))]
                self.kept[key] = answer, at
        return answer

    def drop(self, which):
        self.heard += 1
        self.kept = {key: known for key, known in self.kept.items() if not which(known[0])}

    def hear(self, page):
        ended, everything = {"token": set(), "client": set()}, False
        for entry in page["revocations"]:
            if entry["kind"] in ended:
                ended[entry["kind"]].add(entry["id"])
            else:  # all, and what is not known here
                everything = True
        if page["revocations"]:
            self.drop(lambda answer: everything or answer.get("jti") in ended["token"] or answer.get("client_id") in ended["client"])

    def follow(self):
        cursor, failing = "now", False
        while True:
            sent = moment()
            try:
                page = self.feed(cursor, 0 if cursor == "now" else self.bound / 4)
                readable = isinstance(page, dict) and isinstance(page.get("cursor"), str) and isinstance(page.get("revocations"), list)
                with self.lock:
                    if cursor == "now" or not readable or page.get("reset"):  # what was known may be missing something
                        self.complete = None
                        self.drop(lambda answer: True)
                    cursor = "now"  # unless all of the page is heard
                    if not readable:
                        raise ValueError("the answer is no page of revocations")
                    self.hear(page)
                    cursor = page["cursor"]
                    if not page.get("more"):
                        self.complete = sent
                failing = False
            except Exception as error:  # whatever it is: this thread must go on
                if not failing:
                    logging.error("The revocations cannot be followed, so each token is asked about: %s", error)
                failing = True
                time.sleep(self.bound / 2)
