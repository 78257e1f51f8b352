"""What a client sees of the limits."""

from service.kit.limits.policy import Quota
from service.settings import Settings
from tests.support.client import running


def limited(settings: Settings, **quotas: Quota) -> Settings:
    limits = settings.limits.model_copy(update={"on": True, **quotas})
    return settings.model_copy(update={"limits": limits})


async def test_guessing_passwords_ends_in_429_and_nobody_else_notices(settings: Settings) -> None:
    async with running(limited(settings, credentials=Quota(5, 900))) as client:
        user = await client.user()
        wrong = {"email": user.email, "password": "not the 1 password"}
        answers = [await client.post("/auth/login", json=wrong) for _ in range(6)]

        assert [answer.status_code for answer in answers] == [401] * 4 + [429] * 2
        refused = answers[-1]
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["ratelimit-policy"] == '"credentials";q=5;w=900'
        assert refused.headers["ratelimit"].startswith('"credentials";r=0;t=')
        assert 1 <= int(refused.headers["retry-after"]) <= 1000
        body = refused.json()
        assert body["success"] is False
        assert body["code"] == "too_many_requests"
        assert body["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
        assert body["violated-policies"] == ["credentials"]
        assert (await client.get("/tasks", user)).status_code == 200


async def test_a_forged_forwarded_address_changes_nothing(settings: Settings) -> None:
    async with running(limited(settings, credentials=Quota(3, 900))) as client:
        statuses = []
        for number in range(5):
            response = await client.post(
                "/auth/login",
                json={"email": "nobody@example.com", "password": "guess 1"},
                headers={"X-Forwarded-For": f"198.51.100.{number}"},
            )
            statuses.append(response.status_code)
        assert statuses == [401, 401, 401, 429, 429]


async def test_each_user_has_a_quota_of_their_own_and_sees_what_is_left(settings: Settings) -> None:
    async with running(limited(settings, read=Quota(4, 60), write=Quota(2, 60))) as client:
        ada, bob = await client.user(), await client.user()
        answers = [await client.get("/auth/me", ada) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200] * 4 + [429]
        assert [answer.headers["ratelimit"].partition(";t=")[0] for answer in answers] == [
            f'"read";r={left}' for left in (3, 2, 1, 0, 0)
        ]
        assert (await client.get("/auth/me", bob)).status_code == 200
        assert (await client.post("/tasks", ada, json={"title": "Writes are counted apart"})).status_code == 201


async def test_who_has_no_valid_token_is_counted_by_address(settings: Settings) -> None:
    async with running(limited(settings, anonymous=Quota(3, 60))) as client:
        headers = {"Authorization": "Bearer nothing"}
        assert [(await client.get("/tasks", headers=headers)).status_code for _ in range(4)] == [401, 401, 401, 429]
        assert (await client.get("//health/live")).status_code == 200
