//! What Kubernetes' answer to a dry run says of a pod: a refusal that stays one, or one of the moment.
//!
//! A refusal keeps somebody from saving a job, so it must be one of what was asked. What others use of a quota at the moment
//! is none, nor is an installation that cannot be asked this way.

use olake_shared::domain::quantity::in_thousandths;

use super::cluster::CallError;

/// The answer to a dry run, with refusals of the moment as such.
pub fn judged(error: CallError) -> CallError {
    match error {
        // Two that count on one quota at once; or a pod of this name, which is not ours to judge.
        CallError::Refused { code: 409, message } => CallError::Unreachable(message),
        // A webhook with side effects: it is not called for a dry run, and so says nothing.
        CallError::Refused { message, .. } if message.contains("does not support dry run") => {
            CallError::Unreachable(message)
        }
        // A quota that was made just now: what is used of it is not counted yet.
        CallError::Refused { message, .. } if message.contains("status unknown for quota") => {
            CallError::Unreachable(message)
        }
        CallError::Refused { message, .. } if is_quota_of_others(&message) => CallError::Unreachable(message),
        // The installation's own: whoever saves a job cannot mend it, and its log says it.
        CallError::Refused { message, .. } if message.contains(" cannot create resource ") => {
            CallError::Unreachable(message)
        }
        CallError::Refused { code: 404, message } => {
            let message = format!(
                "{message}. Does the namespace of the connectors (kubernetes.namespace) exist on the cluster?"
            );
            CallError::Refused { code: 404, message }
        }
        other => other,
    }
}

/// Whether a quota is exceeded only together with what others use: alone, the pod would fit into it. It reads
/// `exceeded quota: NAME, requested: limits.memory=2Gi, used: limits.memory=3Gi, limited: limits.memory=4Gi`.
fn is_quota_of_others(message: &str) -> bool {
    let Some((_, amounts)) = message.split_once("exceeded quota: ") else { return false };
    let Some((_, rest)) = amounts.split_once(", requested: ") else { return false };
    let Some((requested, rest)) = rest.split_once(", used: ") else { return false };
    let Some((_, limited)) = rest.split_once(", limited: ") else { return false };
    let limited: Vec<_> = amounts_of(limited).collect();
    !requested.is_empty()
        && amounts_of(requested).all(|(name, amount)| {
            let limit = limited.iter().find(|(limited, _)| *limited == name).and_then(|(_, limit)| *limit);
            amount.zip(limit).is_some_and(|(amount, limit)| amount <= limit)
        })
}

/// `pods=1,limits.memory=2Gi` by name, in thousandths; none for an amount of a form that is not known.
fn amounts_of(text: &str) -> impl Iterator<Item = (&str, Option<u128>)> {
    text.split(',').map(|part| {
        let (name, amount) = part.split_once('=').unwrap_or((part, ""));
        (name.trim(), in_thousandths(amount.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: u16, message: &str) -> CallError {
        CallError::Refused { code, message: message.to_owned() }
    }

    #[test]
    fn what_is_asked_for_is_refused_and_what_is_of_the_moment_is_not() {
        let quota = |requested: &str, used: &str, limited: &str| {
            format!(
                "pods \"olake-1\" is forbidden: exceeded quota: small, requested: {requested}, used: {used}, limited: {limited}"
            )
        };
        for (code, message, stays) in [
            (403, "pods \"a\" is forbidden: no PriorityClass with name gold was found".to_owned(), true),
            (
                403,
                "pods \"a\" is forbidden: violates PodSecurity \"restricted:latest\": hostPort".to_owned(),
                true,
            ),
            (422, "Pod \"a\" is invalid: spec.tolerations[0].effect: Unsupported value".to_owned(), true),
            (404, "namespaces \"connectors\" not found".to_owned(), true),
            (403, "failed quota: small: must specify limits.cpu for: connector".to_owned(), true),
            (403, quota("limits.memory=8Gi", "limits.memory=0", "limits.memory=4Gi"), true),
            (403, quota("limits.cpu=500m,pods=1", "limits.cpu=0,pods=0", "limits.cpu=250m,pods=10"), true),
            (403, quota("pods=1", "pods=3", "pods=0"), true),
            (403, quota("limits.memory=1e9", "limits.memory=0", "limits.memory=4Gi"), true),
            (403, quota("limits.memory=2Gi", "limits.memory=3Gi", "limits.memory=4Gi"), false),
            (403, quota("limits.cpu=500m,pods=1", "limits.cpu=1,pods=10", "limits.cpu=1,pods=10"), false),
            (403, "pods \"a\" is forbidden: status unknown for quota: small".to_owned(), false),
            (409, "Operation cannot be fulfilled on resourcequotas \"small\"".to_owned(), false),
            (
                403,
                "pods is forbidden: User \"worker\" cannot create resource \"pods\" in API group \"\" in the namespace \"a\""
                    .to_owned(),
                false,
            ),
            (400, "admission webhook \"policy.example.org\" does not support dry run".to_owned(), false),
        ] {
            let error = judged(refused(code, &message));
            assert_eq!(error.code().is_some(), stays, "{message}");
            assert!(error.to_string().contains(&message), "{error}");
        }
    }

    #[test]
    fn a_namespace_that_is_not_there_is_told_with_the_setting_that_names_it() {
        let error = judged(refused(404, "namespaces \"connectors\" not found"));
        assert!(error.to_string().contains("kubernetes.namespace"), "{error}");
    }
}
