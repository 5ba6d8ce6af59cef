{{/* The PodDisruptionBudget of a part. Takes (dict "root" $ "component" "api" "budget" .Values.api.podDisruptionBudget). */}}
{{- define "olake.disruptionBudget" }}
{{- if .budget.enabled }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "olake.fullname" .root }}-{{ .component }}
  labels: {{- include "olake.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ .budget.maxUnavailable }}
  selector:
    matchLabels: {{- include "olake.selector" . | nindent 6 }}
{{- end }}
{{- end }}
