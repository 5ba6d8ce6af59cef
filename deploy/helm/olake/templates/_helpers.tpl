{{/* Names, labels, images, and the parts that several pods share. A part ends in a comment that says what it takes. */}}

{{- define "olake.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "olake.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "olake.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "olake.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* The namespace of the connectors. */}}
{{- define "olake.connectorsNamespace" -}}
{{- $namespace := default (printf "%s-connectors" .Release.Namespace) .Values.connectors.namespace -}}
{{- if eq $namespace .Release.Namespace -}}
{{- fail "connectors.namespace must not be the release's namespace: workers may read every Secret in it" -}}
{{- end -}}
{{- $namespace -}}
{{- end }}

{{/* What selects the pods of a part. Takes (dict "root" $ "component" "api"). */}}
{{- define "olake.selector" -}}
app.kubernetes.io/name: {{ include "olake.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* All labels of an object. Takes (dict "root" $ "component" "api"). */}}
{{- define "olake.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{ include "olake.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: olake
{{- end }}

{{/* An image of ours. Takes (dict "root" $ "image" .Values.api.image). */}}
{{- define "olake.image" -}}
{{- $tag := coalesce .image.tag .root.Values.image.tag .root.Chart.AppVersion -}}
{{- $registry := .root.Values.image.registry | trimSuffix "/" -}}
{{- if $registry }}{{ $registry }}/{{ end }}{{ .image.repository }}:{{ $tag }}
{{- end }}

{{- define "olake.api.serviceAccount" -}}
{{- $account := .Values.api.serviceAccount -}}
{{- if $account.create }}{{ default (printf "%s-api" (include "olake.fullname" .)) $account.name }}
{{- else }}{{ default "default" $account.name }}
{{- end -}}
{{- end }}

{{- define "olake.worker.serviceAccount" -}}
{{- $account := .Values.worker.serviceAccount -}}
{{- if $account.create }}{{ default (printf "%s-worker" (include "olake.fullname" .)) $account.name }}
{{- else }}{{ required "worker.serviceAccount.name is needed when none is created" $account.name }}
{{- end -}}
{{- end }}

{{/* What the pod security standard "restricted" asks of a pod, with the user of our images. */}}
{{- define "olake.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* And of a container. */}}
{{- define "olake.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "olake.imagePullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* Where pods go, and how urgent they are. Takes .Values.api or .Values.worker. */}}
{{- define "olake.placement" -}}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/*
What extraEnv must not set: the variables of both programs, secrets in their other form, and what the file of _config.tpl holds,
since a variable wins over the file. The Roles, the cleanup and NOTES go by the file.
*/}}
{{- define "olake.env.set" -}}
OLAKE_CONFIG OLAKE_DATA_DIR OLAKE_SECRETS_RETIRED_KEYS_FILE
OLAKE_DATABASE_URL OLAKE_DATABASE_URL_FILE OLAKE_REDIS_URL OLAKE_REDIS_URL_FILE OLAKE_MASTER_KEY OLAKE_MASTER_KEY_FILE
OLAKE_KUBERNETES_NAMESPACE OLAKE_IMAGE_TEMPLATE OLAKE_IMAGE_REGISTRY OLAKE_IMAGE_PULL_POLICY OLAKE_IMAGE_PULL_SECRETS
OLAKE_AGENT_IMAGE OLAKE_INTERNAL_TLS_SECRET OLAKE_KUBERNETES_TYPES OLAKE_KUBERNETES_RESOURCES OLAKE_KUBERNETES_TYPE_RESOURCES
OLAKE_KUBERNETES_MEMORY_CAP
{{- end }}

{{/* The variables of both programs. Takes (dict "root" $ "part" .Values.api "own" (list "OLAKE_LISTEN" …)). */}}
{{- define "olake.env" -}}
{{- $values := .root.Values -}}
{{- $set := concat .own (regexSplit `\s+` (include "olake.env.set" .) -1) -}}
- {name: OLAKE_CONFIG, value: /etc/olake/olake.toml}
- {name: OLAKE_DATA_DIR, value: /tmp/olake}
- {name: OLAKE_DATABASE_URL_FILE, value: /run/secrets/olake/database-url}
- {name: OLAKE_REDIS_URL_FILE, value: /run/secrets/olake/redis-url}
- {name: OLAKE_MASTER_KEY_FILE, value: /run/secrets/olake/master-key}
{{- if and $values.masterKey.existingSecret $values.masterKey.existingSecretRetiredKey }}
- {name: OLAKE_SECRETS_RETIRED_KEYS_FILE, value: /run/secrets/olake/retired-keys}
{{- end }}
{{- range .part.extraEnv }}
{{- if has .name $set }}{{ fail (printf "extraEnv: the chart sets %s itself" .name) }}{{ end }}
- {{ toYaml . | nindent 2 | trim }}
{{- end }}
{{- end }}

{{/* The volume of the secrets. Takes (dict "root" $ "admin" true). */}}
{{- define "olake.secretsVolume" -}}
{{- $values := .root.Values -}}
{{- $fullname := include "olake.fullname" .root -}}
name: secrets
projected:
  defaultMode: 0440
  sources:
  - secret:
      name: {{ default $fullname $values.database.existingSecret }}
      items: [{key: {{ ternary $values.database.existingSecretKey "database-url" (not (empty $values.database.existingSecret)) }}, path: database-url}]
  - secret:
      name: {{ default $fullname $values.redis.existingSecret }}
      items: [{key: {{ ternary $values.redis.existingSecretKey "redis-url" (not (empty $values.redis.existingSecret)) }}, path: redis-url}]
  - secret:
      {{- with $values.masterKey }}
      name: {{ default (printf "%s-master-key" $fullname) .existingSecret }}
      items:
      - {key: {{ ternary .existingSecretKey "master-key" (not (empty .existingSecret)) }}, path: master-key}
      {{- if and .existingSecret .existingSecretRetiredKey }}
      - {key: {{ .existingSecretRetiredKey }}, path: retired-keys}
      {{- end }}
      {{- end }}
  {{- if and .admin $values.admin.username }}
  - secret:
      name: {{ default $fullname $values.admin.existingSecret }}
      items: [{key: {{ ternary $values.admin.existingSecretKey "admin-password" (not (empty $values.admin.existingSecret)) }}, path: admin-password}]
  {{- end }}
{{- end }}

{{/* What makes an object a part of the uninstall. */}}
{{- define "olake.cleanup.hook" -}}
helm.sh/hook: pre-delete
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
