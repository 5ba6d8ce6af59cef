use std::time::Duration;

use olake_shared::domain::task::TaskId;
use serde_json::{Value, json};

use super::*;
use crate::{
    connector::{command::Request, state::parse_state},
    launch::{
        Launch, LaunchError, Placement,
        kube::{plan::Plan, profiles::Profiles, settings::tests::settings},
    },
};

fn launch(request: Request) -> Launch {
    Launch {
        task: TaskId::from_u128(0x0193_5f00_0000_7000_8000_0000_0000_0001),
        attempt: 2,
        epoch: 1,
        job: Some(7),
        connector_type: "postgres".to_owned(),
        version: "v0.9.4".to_owned(),
        request,
        mask: vec!["hunter22".to_owned()],
        placement: Placement::default(),
        deadline: Duration::from_secs(3_600),
    }
}

fn sync(source: &str) -> Request {
    Request::Sync {
        source: source.to_owned(),
        destination: r#"{"type":"PARQUET"}"#.to_owned(),
        catalog: r#"{"streams":[]}"#.to_owned(),
        state: parse_state(b"{\"type\":\"STREAM\"}"),
    }
}

fn plan_with(launch: &Launch, settings: &KubeSettings, profiles: &Profiles) -> Result<Plan, LaunchError> {
    Plan::of(launch, "agent1.token".to_owned(), settings, profiles)
}

fn plan(launch: &Launch) -> Plan {
    plan_with(launch, &settings(), &Profiles::open(None).unwrap()).unwrap()
}

fn json_of(plan: &Plan) -> Value {
    serde_json::to_value(&plan.pod).unwrap()
}

#[test]
fn the_pod_of_a_sync_is_this_to_the_letter() {
    let pod = serde_json::to_string_pretty(&json_of(&plan(&launch(sync("{}"))))).unwrap();
    let golden = include_str!("golden_sync_pod.json");
    assert_eq!(pod, golden.trim_end(), "a change of the pod's shape is to be seen here: {pod}");
}

#[test]
fn each_kind_has_its_arguments_and_says_what_it_is() {
    let requests = [
        (
            Request::Spec { destination_type: Some("iceberg".to_owned()) },
            "spec",
            "spec --destination-type iceberg --no-save",
        ),
        (
            Request::CheckSource { config: "{}".to_owned() },
            "check",
            "check --config /mnt/config/config.json --no-save",
        ),
        (
            Request::CheckDestination { config: "{}".to_owned() },
            "check",
            "check --destination /mnt/config/config.json --no-save",
        ),
        (
            Request::Discover {
                config: "{}".to_owned(),
                catalog: None,
                destination_database_prefix: None,
                max_threads: None,
            },
            "discover",
            "discover --config /mnt/config/config.json --no-save",
        ),
        (
            Request::Clear { streams: "{}".to_owned(), destination: "{}".to_owned(), state: None },
            "clear",
            "clear-destination --streams /mnt/config/streams.json --destination /mnt/config/destination.json --no-save",
        ),
        (
            Request::Difference { old: "{}".to_owned(), new: "{}".to_owned() },
            "difference",
            "discover --streams /mnt/config/old_streams.json --difference /mnt/config/new_streams.json --no-save",
        ),
    ];
    let sync = json_of(&plan(&launch(sync("{}"))));
    for (request, kind, args) in requests {
        let mut pod = json_of(&plan(&launch(request)));
        assert_eq!(pod["metadata"]["annotations"]["olake.io/kind"], kind);
        let given: Vec<&str> = pod["spec"]["containers"][0]["args"]
            .as_array()
            .unwrap()
            .iter()
            .map(|arg| arg.as_str().unwrap())
            .collect();
        assert_eq!(given.join(" "), args);
        // Nothing else differs.
        pod["metadata"]["annotations"]["olake.io/kind"] = json!("sync");
        pod["spec"]["containers"][0]["args"] = sync["spec"]["containers"][0]["args"].clone();
        assert_eq!(pod, sync, "{kind}");
    }
}

#[test]
fn both_containers_are_restricted_in_full() {
    let pod = json_of(&plan(&launch(sync("{}"))));
    let spec = &pod["spec"];
    assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
    assert_eq!(spec["securityContext"]["runAsUser"], 65_532);
    assert_eq!(spec["automountServiceAccountToken"], false);
    for container in [&spec["containers"][0], &spec["initContainers"][0]] {
        let security = &container["securityContext"];
        assert_eq!(security["allowPrivilegeEscalation"], false);
        assert_eq!(security["readOnlyRootFilesystem"], true);
        assert_eq!(security["capabilities"], json!({"drop": ["ALL"]}));
        assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault");
    }
    for volume in spec["volumes"].as_array().unwrap() {
        assert!(volume.get("emptyDir").is_some() || volume.get("secret").is_some(), "{volume}");
    }
}

#[test]
fn the_connectors_image_keeps_its_entrypoint_and_folder_and_no_secret_is_in_the_pod() {
    let plan = plan(&launch(sync(r#"{"password":"hunter22"}"#)));
    let pod = json_of(&plan);
    let connector = &pod["spec"]["containers"][0];
    assert!(connector.get("command").is_none() && connector.get("workingDir").is_none());
    assert!(!pod.to_string().contains("hunter22") && !pod.to_string().contains("agent1.token"));
    let data = plan.secret.data.unwrap();
    let names: Vec<&str> = data.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["destination.json", "mask.json", "source.json", "token"],
        "catalog and state go another way"
    );
    assert_eq!(data["mask.json"].0, br#"["hunter22"]"#);
    assert_eq!(plan.secret.immutable, Some(true));
}

#[test]
fn inputs_that_no_secret_can_carry_are_refused_with_words() {
    let launch = launch(sync(&"x".repeat(901 << 10)));
    let error = plan_with(&launch, &settings(), &Profiles::open(None).unwrap()).err().unwrap();
    assert!(error.to_string().contains("900 KiB"), "{error}");
}

#[test]
fn a_profile_says_where_a_pod_runs_and_as_what() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("profiles.toml");
    std::fs::write(
        &file,
        r#"
        [profile.large]
        node_selector = { pool = "large" }
        tolerations = [{ key = "dedicated", operator = "Exists" }]
        priority_class = "batch"
        runtime_class = "gvisor"
        pull_secrets = ["registry"]
        service_account = "lake-writer"
        env = { HTTPS_PROXY = "http://proxy:3128" }
        annotations = { "example.org/team" = "data" }
        user_id = 1000
        resources = "memory=8Gi cpu=2 cpu_limit=4"
        "#,
    )
    .unwrap();
    let profiles = Profiles::open(Some(file)).unwrap();
    let settings = KubeSettings { pull_secrets: vec!["every".to_owned()], ..settings() };
    let placed = |profile: &str, max_memory: Option<&str>| {
        let mut launch = launch(sync("{}"));
        launch.placement.profile = Some(profile.to_owned());
        launch.placement.max_memory = max_memory.map(str::to_owned);
        plan_with(&launch, &settings, &profiles)
    };
    let pod = json_of(&placed("large", None).unwrap());
    let spec = &pod["spec"];
    assert_eq!(spec["nodeSelector"], json!({"pool": "large"}));
    assert_eq!(spec["tolerations"], json!([{"key": "dedicated", "operator": "Exists"}]));
    assert_eq!((&spec["priorityClassName"], &spec["runtimeClassName"]), (&json!("batch"), &json!("gvisor")));
    assert_eq!(spec["imagePullSecrets"], json!([{"name": "every"}, {"name": "registry"}]));
    assert_eq!(spec["serviceAccountName"], "lake-writer");
    assert_eq!(spec["securityContext"]["runAsUser"], 1000);
    assert_eq!(spec["securityContext"]["fsGroup"], 1000);
    assert_eq!(pod["metadata"]["annotations"]["example.org/team"], "data");
    let connector = &spec["containers"][0];
    assert!(
        connector["env"]
            .as_array()
            .unwrap()
            .contains(&json!({"name": "HTTPS_PROXY", "value": "http://proxy:3128"}))
    );
    assert_eq!(
        connector["resources"]["limits"],
        json!({"cpu": "4000m", "memory": "8Gi", "ephemeral-storage": "10Gi"})
    );
    assert_eq!(
        json_of(&placed("large", Some("1Gi")).unwrap())["spec"]["containers"][0]["resources"]["limits"]["memory"],
        "1Gi"
    );
    let error = placed("huge", None).err().unwrap();
    assert!(error.to_string().contains("'huge'") && error.to_string().contains("large"), "{error}");
}

#[test]
fn agents_trust_the_authority_of_the_named_secret() {
    let settings = KubeSettings { internal_tls_secret: Some("workers-ca".to_owned()), ..settings() };
    let pod = json_of(&plan_with(&launch(sync("{}")), &settings, &Profiles::open(None).unwrap()).unwrap());
    let agent = &pod["spec"]["initContainers"][0];
    assert!(
        agent["env"]
            .as_array()
            .unwrap()
            .contains(&json!({"name": "OLAKE_INTERNAL_CA", "value": "/trust/ca.crt"}))
    );
    assert!(pod["spec"]["volumes"].to_string().contains("workers-ca"));
}

#[test]
fn what_is_not_configured_is_refused() {
    let mut launch = launch(sync("{}"));
    launch.connector_type = "oracle".to_owned();
    let error = plan_with(&launch, &settings(), &Profiles::open(None).unwrap()).err().unwrap();
    assert!(matches!(error, LaunchError::NotConfigured { .. }), "{error}");
}
