package main

import (
	"regexp"
	"strings"
)

// fieldFlags says which flag sets a field of the libraries' options. Their errors name fields;
// one whose name could be an ordinary word is only meant with "Options." before it.
func fieldFlags() map[string]string {
	return map[string]string{
		"Targets": "target", "Goals": "target", "FromPlan": "from-plan", "Output": "output", "Overwrite": "force",
		"Source": "calib", "CalibSamples": "calib-samples", "VerifySamples": "verify-samples", "Probes": "probes", "NoRefit": "no-refit", "Stats": "stats",
		"Methods": "methods", "Select.Only": "only", "Select.Keep": "keep", "Search": "search", "RankMultiple": "rank-multiple", "InputShapes": "input-shape",
		"Lessons": "tune-data", "Learning": "tune", "Seed": "seed", "Batch": "batch", "Threads": "threads", "Memory": "memory", "Runtime": "ort",
	}
}

// fieldName is a word that may be a field.
var fieldName = regexp.MustCompile(`\b(?:Options\.)?[A-Z][a-z]+(?:\.?[A-Z][a-z]+)*\b`)

// withFlags says in the words of the command line what an error of the libraries says of fields.
func withFlags(message string) string {
	flags := fieldFlags()
	return fieldName.ReplaceAllStringFunc(message, func(word string) string {
		field, whole := strings.CutPrefix(word, "Options.")
		flag, known := flags[field]
		if !known || !whole && strings.ToLower(field[1:]) == field[1:] {
			return word
		}
		return "--" + flag
	})
}
