"""The policy of `python -m k8s canary`, for a few thousand requests in half a minute instead of half a million."""

from k8s.policy.rules import CanaryPolicy, LatencyRule, RateRule, RolloutPolicy, SaturationRule, ShadowPolicy, ShareRule

# Wider everywhere than the default: two steps, limits that some hundred requests can rule out, and p95 in place of
# p99, which nearly 500 requests a step would be needed for. The floor is what one busy laptop adds now and then.
LAPTOP = RolloutPolicy.model_validate(
    {
        "shadow": ShadowPolicy.model_validate(
            {"min_pairs": 50, "min_overlap": "1 %", "max_unanswered": "30 %", "deadline": "60 s"}
        ),
        "canary": CanaryPolicy.model_validate(
            {
                "steps": (20, 50),
                "min_requests": 100,
                "min_time": "0 s",
                "deadline": "2 min",
                "errors": ShareRule.model_validate({"tolerated": "1 %", "limit": "5 %"}),
                "degraded": ShareRule.model_validate({"tolerated": "2 %", "limit": "8 %"}),
                "latency": LatencyRule.model_validate({"tail": "95 %", "max_ratio": "1.5 x", "floor": "25 ms"}),
                # Ten looks a second apart are too few to rule anything out, so it never holds a step here.
                "saturation": SaturationRule.model_validate({"tolerated": "3 x", "limit": None, "idle": "10 %"}),
                "clicks": RateRule.model_validate(
                    {
                        "tolerated": "5 %",
                        "limits": ("50 %", "30 %"),
                        "tuned_for": "40 %",
                        "min_users": 10,
                        "min_clicks": 20,
                    }
                ),
                "conversions": None,
                "false_pass": "10 %",
                "max_silence": "10 s",
            }
        ),
        "ready_deadline": "2 min",
    }
)
