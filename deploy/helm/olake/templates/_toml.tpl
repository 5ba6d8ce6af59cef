{{/*
A map of values as TOML. Takes (dict "path" "" "table" map). A text, number, flag or list of these is written as JSON, which
TOML reads the same way; null is left out; a map is a table, and a list of maps is an array of tables.
*/}}
{{- define "olake.toml" -}}
{{- $path := .path -}}
{{- range $key, $value := .table }}
{{- if not (or (kindIs "invalid" $value) (kindIs "map" $value) (eq (include "olake.isTables" $value) "yes")) }}
{{ include "olake.tomlKey" $key }} = {{ toJson $value }}
{{- end }}
{{- end }}
{{- range $key, $value := .table }}
{{- $name := include "olake.tomlKey" $key }}
{{- if $path }}{{ $name = printf "%s.%s" $path $name }}{{ end }}
{{- if kindIs "map" $value }}

[{{ $name }}]
{{- include "olake.toml" (dict "path" $name "table" $value) }}
{{- else if eq (include "olake.isTables" $value) "yes" }}
{{- range $value }}

[[{{ $name }}]]
{{- include "olake.toml" (dict "path" $name "table" .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "olake.isTables" -}}
{{- if and (kindIs "slice" .) (gt (len .) 0) }}{{ if kindIs "map" (first .) }}yes{{ end }}{{ end -}}
{{- end }}

{{- define "olake.tomlKey" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . }}{{ . }}{{ else }}{{ toJson . }}{{ end -}}
{{- end }}
