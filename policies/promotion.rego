# The promotion rules every workspace starts with: may this sandbox agent become a governed one?
#
# Each rule is an `…_ok` style fact that must hold; `deny` fires on `not fact`. A missing member, a wrong type or
# missing data makes the fact undefined, and `not` turns that into a denial: nothing here can fail open.
package castellan.promotion

import rego.v1

deny contains {"code": "PERMISSION_DENIED", "reason": "promotion needs the role kernel-admin, or kernel-approver on an approval"} if {
	not user_is_admin
}

deny contains {"code": "ANATOMY_INCOMPLETE", "reason": reason} if {
	not anatomy_complete
	reason := concat("", ["missing or empty: ", concat(", ", sort(missing))])
}

deny contains {"code": "CONTAINMENT_VIOLATION", "reason": "the spec asks for external calls or persistent writes"} if {
	not sandbox_contained
}

deny contains {"code": "INVALID_CAPABILITIES", "reason": capabilities_reason} if {
	not capabilities_valid
}

deny contains {"code": "TEMPERATURE_VIOLATION", "reason": temperature_reason} if {
	not temp_ok
}

deny contains {"code": "BUDGET_EXCEEDED", "reason": budget_reason} if {
	not budget_ok
}

# --- user_is_admin -------------------------------------------------------------------------------------------------

user_is_admin if has_role("kernel-admin")

user_is_admin if {
	has_role("kernel-approver")
	is_object(input.approval)
}

# Where the workspace asks for approvals, the request itself is judged without the actor's role: an approver decides
# later, and then this rule counts. Only a promotion request, never a decision or a revalidation.
user_is_admin if {
	input.mode == "promote"
	input.stage == "request"
	not input.approval
}

has_role(role) if {
	is_array(input.actor.roles)
	role in input.actor.roles
}

# --- anatomy_complete ----------------------------------------------------------------------------------------------

anatomy_complete if {
	is_object(input.agent.spec)
	count(missing) == 0
}

missing contains "name" if not has_text(["name"])

missing contains "model.provider" if not has_text(["model", "provider"])

missing contains "model.name" if not has_text(["model", "name"])

missing contains "instructions" if not has_text(["instructions"])

missing contains "capabilities" if not has_capabilities

missing contains "budget.monthlyUsd" if not has_monthly_number

has_text(path) if {
	value := object.get(input.agent.spec, path, null)
	is_string(value)
	trim_space(value) != ""
}

# A rule of its own: `not` over a nested call is undefined, not true, where the inner call is undefined.
has_monthly_number if is_number(input.agent.spec.budget.monthlyUsd)

has_capabilities if {
	is_array(input.agent.spec.capabilities)
	count(input.agent.spec.capabilities) > 0
}

# --- sandbox_contained ---------------------------------------------------------------------------------------------

sandbox_contained if {
	is_object(input.agent.spec)
	containment := object.get(input.agent.spec, "containment", {})
	is_object(containment)
	object.get(containment, "externalCalls", false) == false
	object.get(containment, "persistentWrites", false) == false
}

# --- capabilities_valid --------------------------------------------------------------------------------------------

# An absent list is anatomy's to report; a present one must be an array of listed names.
capabilities_valid if {
	is_object(input.agent.spec)
	capabilities := object.get(input.agent.spec, "capabilities", [])
	is_array(capabilities)
	is_array(data.castellan.capabilities)
	every capability in capabilities {
		capability in data.castellan.capabilities
	}
}

default capabilities_reason := "the capabilities are not a list of names"

capabilities_reason := substring(concat("", ["not in the list of allowed capabilities: ", concat(", ", unknown)]), 0, 500) if {
	unknown := [capability |
		some capability in input.agent.spec.capabilities
		is_string(capability)
		not capability in data.castellan.capabilities
	]
	count(unknown) > 0
}

# --- temp_ok -------------------------------------------------------------------------------------------------------

temp_ok if {
	is_object(input.agent.spec)
	object.get(input.agent.spec, ["model", "temperature"], null) == null
	not null_temperature
}

temp_ok if {
	temperature := input.agent.spec.model.temperature
	is_number(temperature)
	temperature >= 0
	temperature <= temperature_limit
}

null_temperature if input.agent.spec.model.temperature == null

# The highest limit among the actor's roles; a role without a limit of its own has the default one.
temperature_limit := max(role_limits) if count(role_limits) > 0

temperature_limit := data.castellan.temperature["default"] if {
	count(role_limits) == 0
	is_number(data.castellan.temperature["default"])
}

role_limits contains limit if {
	is_array(input.actor.roles)
	some role in input.actor.roles
	limit := role_limit(role)
	is_number(limit)
}

role_limit(role) := data.castellan.temperature[role]

role_limit(role) := data.castellan.temperature["default"] if not data.castellan.temperature[role]

default temperature_reason := "the temperature is not a number, is negative, or no limit is set"

temperature_reason := sprintf("temperature %v is above the limit of %v", [temperature, temperature_limit]) if {
	temperature := input.agent.spec.model.temperature
	is_number(temperature)
	temperature > temperature_limit
}

# --- budget_ok -----------------------------------------------------------------------------------------------------

# An absent budget is anatomy's to report.
budget_ok if {
	is_object(input.agent.spec)
	object.get(input.agent.spec, "budget", {}) == {}
}

budget_ok if {
	is_object(input.agent.spec.budget)
	not has_monthly
}

budget_ok if {
	monthly := input.agent.spec.budget.monthlyUsd
	is_number(monthly)
	monthly >= 0
	is_number(data.castellan.budget.monthlyUsd)
	monthly <= data.castellan.budget.monthlyUsd
}

has_monthly if {
	some member, _ in input.agent.spec.budget
	member == "monthlyUsd"
}

default budget_reason := "the monthly budget is not a number, is negative, or no limit is set"

budget_reason := sprintf("monthlyUsd %v is above the limit of %v", [monthly, limit]) if {
	monthly := input.agent.spec.budget.monthlyUsd
	limit := data.castellan.budget.monthlyUsd
	is_number(monthly)
	is_number(limit)
	monthly > limit
}
