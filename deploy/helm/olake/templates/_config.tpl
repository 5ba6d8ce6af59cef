{{/* The settings of both programs. */}}
{{- define "olake.config" -}}
{{- $connectors := .Values.connectors }}
{{- $kubernetes := dict
    "namespace" (include "olake.connectorsNamespace" .)
    "image_template" $connectors.imageTemplate
    "registry" $connectors.registry
    "pull_policy" $connectors.pullPolicy
    "pull_secrets" $connectors.pullSecrets
    "agent_image" (default (include "olake.image" (dict "root" . "image" .Values.worker.image)) $connectors.agentImage)
    "internal_tls_secret" .Values.worker.internal.tls.caSecretName }}
{{- with $connectors.types }}{{ $_ := set $kubernetes "types" . }}{{ end }}
{{- with $connectors.resources }}{{ $_ := set $kubernetes "resources" . }}{{ end }}
{{- with $connectors.typeResources }}{{ $_ := set $kubernetes "type_resources" . }}{{ end }}
{{- with $connectors.memoryCap }}{{ $_ := set $kubernetes "memory_cap" . }}{{ end }}
{{- include "olake.toml" (dict "path" "" "table" (mergeOverwrite (deepCopy .Values.config) (dict "kubernetes" $kubernetes))) | trim }}
{{- end }}
