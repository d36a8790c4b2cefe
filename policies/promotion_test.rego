package castellan.promotion_test

import data.castellan.promotion
import rego.v1

admin := {"id": "ada", "kind": "human", "roles": ["kernel-admin"]}

approver := {"id": "bea", "kind": "human", "roles": ["kernel-approver"]}

operator := {"id": "olaf", "kind": "human", "roles": ["operator"]}

complete := {
	"name": "reader",
	"model": {"provider": "openai", "name": "gpt", "temperature": 0.5},
	"instructions": "Read and summarize.",
	"capabilities": ["search", "summarize"],
	"budget": {"monthlyUsd": 100},
}

# A question about `spec` by `actor`, with the members of `more` put over it.
question(actor, spec, more) := object.union(
	{
		"actor": actor,
		"workspace": "demo",
		"agent": {"id": "01890000-0000-7000-8000-000000000001", "mode": "sandbox", "spec": spec, "specHash": "sha256:00"},
		"mode": "promote",
	},
	more,
)

codes(actor, spec, more) := {denial.code | some denial in promotion.deny with input as question(actor, spec, more)}

patched(patch) := {denial.code | some denial in promotion.deny with input as question(admin, object.union(complete, patch), {})}

without(paths) := {denial.code | some denial in promotion.deny with input as question(admin, json.remove(complete, paths), {})}

all_codes := {
	"PERMISSION_DENIED",
	"ANATOMY_INCOMPLETE",
	"CONTAINMENT_VIOLATION",
	"INVALID_CAPABILITIES",
	"TEMPERATURE_VIOLATION",
	"BUDGET_EXCEEDED",
}

test_complete_agent_is_promoted_by_an_admin if codes(admin, complete, {}) == set()

test_revalidation_asks_the_same if codes(admin, complete, {"mode": "revalidate"}) == set()

# user_is_admin

test_operator_may_not if codes(operator, complete, {}) == {"PERMISSION_DENIED"}

test_approver_without_an_approval_may_not if codes(approver, complete, {}) == {"PERMISSION_DENIED"}

test_approver_with_an_approval_may if codes(approver, complete, {"approval": {"id": "a"}}) == set()

test_operator_with_an_approval_may_not if codes(operator, complete, {"approval": {"id": "a"}}) == {"PERMISSION_DENIED"}

test_an_approval_must_be_an_object if {
	every approval in [true, "yes", 1, [], null] {
		codes(approver, complete, {"approval": approval}) == {"PERMISSION_DENIED"}
	}
}

test_request_stage_leaves_the_role_out if codes(operator, complete, {"stage": "request"}) == set()

test_request_stage_keeps_the_other_rules if {
	codes(operator, object.union(complete, {"capabilities": ["zap"]}), {"stage": "request"}) == {"INVALID_CAPABILITIES"}
}

test_no_request_stage_with_an_approval if {
	codes(operator, complete, {"stage": "request", "approval": {"id": "a"}}) == {"PERMISSION_DENIED"}
}

test_no_request_stage_in_a_revalidation if {
	codes(operator, complete, {"stage": "request", "mode": "revalidate"}) == {"PERMISSION_DENIED"}
}

test_unknown_stage_is_a_decision if codes(operator, complete, {"stage": "Request"}) == {"PERMISSION_DENIED"}

test_roles_that_are_no_list if {
	every roles in ["kernel-admin", {"kernel-admin": true}, {"x": "kernel-admin"}, null, 1] {
		codes({"id": "x", "roles": roles}, complete, {}) == {"PERMISSION_DENIED"}
	}
}

test_role_look_alikes if {
	every role in ["Kernel-Admin", "kernel-admin ", "kernel_admin", ["kernel-admin"]] {
		codes({"id": "x", "roles": [role]}, complete, {}) == {"PERMISSION_DENIED"}
	}
}

# anatomy_complete

test_each_member_of_the_anatomy_is_needed if {
	every path in ["name", "model", "model/provider", "model/name", "instructions", "capabilities", "budget", "budget/monthlyUsd"] {
		without([path]) == {"ANATOMY_INCOMPLETE"}
	}
}

test_the_reason_names_what_is_missing if {
	spec := json.remove(complete, ["name", "budget"])
	some denial in promotion.deny with input as question(admin, spec, {})
	denial.reason == "missing or empty: budget.monthlyUsd, name"
}

test_blank_texts_are_missing if {
	every patch in [{"name": " "}, {"instructions": ""}, {"model": {"provider": "\n"}}, {"model": {"name": ""}}] {
		patched(patch) == {"ANATOMY_INCOMPLETE"}
	}
}

test_an_empty_list_of_capabilities_is_missing if patched({"capabilities": []}) == {"ANATOMY_INCOMPLETE"}

test_temperature_is_optional if without(["model/temperature"]) == set()

# sandbox_contained

test_external_calls_are_a_violation if patched({"containment": {"externalCalls": true}}) == {"CONTAINMENT_VIOLATION"}

test_persistent_writes_are_a_violation if {
	patched({"containment": {"persistentWrites": true}}) == {"CONTAINMENT_VIOLATION"}
}

test_explicit_containment_is_fine if {
	patched({"containment": {"externalCalls": false, "persistentWrites": false}}) == set()
}

test_containment_of_another_type_is_a_violation if {
	every containment in [true, "none", null, [], {"externalCalls": "false"}, {"persistentWrites": 0}, {"externalCalls": null}] {
		patched({"containment": containment}) == {"CONTAINMENT_VIOLATION"}
	}
}

# capabilities_valid

test_unlisted_capability if patched({"capabilities": ["search", "zap"]}) == {"INVALID_CAPABILITIES"}

test_listed_capabilities if {
	patched({"capabilities": ["search", "summarize", "read_files", "write_files", "call_api", "run_tests"]}) == set()
}

test_capabilities_of_another_type if {
	every capabilities in [[1], [["search"]], [null], ["Search"], ["search "]] {
		patched({"capabilities": capabilities}) == {"INVALID_CAPABILITIES"}
	}
	every capabilities in ["search", {"a": "search"}, null, true] {
		patched({"capabilities": capabilities}) == {"INVALID_CAPABILITIES", "ANATOMY_INCOMPLETE"}
	}
}

test_a_long_list_has_a_bounded_reason if {
	names := [concat("", ["zap-", format_int(n, 10)]) | some n in numbers.range(1, 2000)]
	some denial in promotion.deny with input as question(admin, object.union(complete, {"capabilities": names}), {})
	denial.code == "INVALID_CAPABILITIES"
	count(denial.reason) == 500
}

# temp_ok

test_temperature_up_to_the_limit_of_the_role if {
	patched({"model": {"temperature": 1}}) == set()
	patched({"model": {"temperature": 0}}) == set()
	patched({"model": {"temperature": 1.01}}) == {"TEMPERATURE_VIOLATION"}
}

test_other_roles_have_the_default_limit if {
	spec := object.union(complete, {"model": {"temperature": 0.8}})
	codes(approver, spec, {"approval": {"id": "a"}}) == {"TEMPERATURE_VIOLATION"}
	codes(approver, complete, {"approval": {"id": "a"}}) == set()
}

test_the_highest_limit_among_the_roles_counts if {
	spec := object.union(complete, {"model": {"temperature": 0.9}})
	codes({"id": "x", "roles": ["operator", "kernel-admin"]}, spec, {}) == set()
}

test_an_actor_without_roles_has_the_default_limit if {
	codes({"id": "x", "roles": []}, object.union(complete, {"model": {"temperature": 0.7}}), {}) == {"PERMISSION_DENIED"}
	codes({"id": "x", "roles": []}, object.union(complete, {"model": {"temperature": 0.71}}), {}) ==
		{"PERMISSION_DENIED", "TEMPERATURE_VIOLATION"}
}

test_a_lower_limit_of_a_role_counts if {
	codes({"id": "x", "roles": ["junior"]}, complete, {}) == {"PERMISSION_DENIED", "TEMPERATURE_VIOLATION"} with data.castellan.temperature as {"default": 0.7, "junior": 0.3}
}

test_hostile_temperatures if {
	every temperature in ["0.1", null, true, [], {}, -0.1, -1e300, 1e300] {
		patched({"model": {"temperature": temperature}}) == {"TEMPERATURE_VIOLATION"}
	}
}

# budget_ok

test_budget_up_to_the_limit if {
	patched({"budget": {"monthlyUsd": 1000}}) == set()
	patched({"budget": {"monthlyUsd": 0}}) == set()
	patched({"budget": {"monthlyUsd": 1000.01}}) == {"BUDGET_EXCEEDED"}
}

test_hostile_budgets if {
	every monthly in [-1, -1e300, 1e300] {
		patched({"budget": {"monthlyUsd": monthly}}) == {"BUDGET_EXCEEDED"}
	}
	every monthly in ["10", null, true, [10], {"usd": 10}] {
		patched({"budget": {"monthlyUsd": monthly}}) == {"BUDGET_EXCEEDED", "ANATOMY_INCOMPLETE"}
	}
	every budget in ["10", null, 10, [10]] {
		patched({"budget": budget}) == {"BUDGET_EXCEEDED", "ANATOMY_INCOMPLETE"}
	}
}

# Missing data, and inputs that are nothing at all

test_without_data_nothing_is_allowed if {
	codes(admin, complete, {}) == {"INVALID_CAPABILITIES", "TEMPERATURE_VIOLATION", "BUDGET_EXCEEDED"} with data.castellan.capabilities as null
		with data.castellan.temperature as {}
		with data.castellan.budget as {}
}

test_data_of_another_type_allows_nothing if {
	codes(admin, complete, {}) == {"INVALID_CAPABILITIES", "TEMPERATURE_VIOLATION", "BUDGET_EXCEEDED"} with data.castellan.capabilities as "search"
		with data.castellan.temperature as {"default": "0.7", "kernel-admin": true}
		with data.castellan.budget as {"monthlyUsd": "1000"}
}

test_no_input_is_denied_by_every_rule if {
	every nothing in [{}, [], "x", 1, null, true, {"agent": 1}, {"agent": {"spec": []}}, {"actor": [], "agent": {"spec": null}}] {
		{denial.code | some denial in promotion.deny with input as nothing} == all_codes
	}
}
