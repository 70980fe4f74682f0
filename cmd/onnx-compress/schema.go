package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// schemaID names the schema of configurations. It stands in docs/.
const schemaID = "https://github.com/onnx-compress/onnx-compress/raw/main/docs/onnx-compress.schema.json"

// configurable lists the commands that a configuration can be for.
func configurable() []*cobra.Command {
	return slices.DeleteFunc(inOrder(newRoot(streams{})), func(c *cobra.Command) bool { return c.Flags().Lookup("print-config") == nil })
}

// object is a JSON object with its keys sorted.
type object = map[string]any

// configSchema is the JSON Schema of configurations, made from the declared flags.
func configSchema() ([]byte, error) {
	properties := object{}
	for _, c := range configurable() {
		flags := object{}
		for _, flag := range settable(c.Flags()) {
			flags[flag.Name] = flagSchema(flag)
		}
		properties[c.Name()] = object{
			"type": []string{"object", "null"}, "additionalProperties": false, "properties": flags,
			"description": "flags of onnx-compress " + c.Name(),
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(object{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": schemaID,
		"title": configName, "description": "Flags of onnx-compress, by command.",
		"type": []string{"object", "null"}, "additionalProperties": false, "properties": properties,
	})
	return b.Bytes(), err
}

// flagSchema says what a flag can be set to.
func flagSchema(flag *pflag.Flag) object {
	words := []string{"string", "number"} // such as crop: 224
	out := object{}
	_, list := flag.Value.(pflag.SliceValue)
	switch typ := flag.Value.Type(); {
	case list:
		out["type"] = append(words, "array")
		out["items"] = object{"type": words}
		out["minItems"] = 1
	case typ == "bool":
		out["type"] = "boolean"
	case typ == "int":
		out["type"] = "integer"
	case typ == "uint64":
		out["type"], out["minimum"] = "integer", 0
	case typ == "float64":
		out["type"] = "number"
	case flag.NoOptDefVal != "":
		out["type"] = []string{"string", "boolean"}
	default:
		out["type"] = words
	}
	out["description"] = summary(flag)
	return out
}

// checkConfigValues holds the values of a configuration, by command and flag, against what these can be set to: as the schema does, whose
// compiler takes longer to start than most commands.
func checkConfigValues(doc any) error {
	sections, _ := doc.(map[string]any)
	for _, c := range configurable() {
		values, _ := sections[c.Name()].(map[string]any)
		for _, flag := range settable(c.Flags()) {
			value, given := values[flag.Name]
			if !given {
				continue
			}
			if err := fits(flagSchema(flag), value); err != nil {
				return fmt.Errorf("%s: %s: %w", c.Name(), flag.Name, err)
			}
		}
	}
	return nil
}

// fits holds a value against what flagSchema says.
func fits(schema object, value any) error {
	var want []string
	switch types := schema["type"].(type) {
	case string:
		want = []string{types}
	case []string:
		want = types
	}
	got, number := jsonType(value)
	if !slices.Contains(want, got) && !(got == "integer" && slices.Contains(want, "number")) {
		return fmt.Errorf("it is %s; want %s", withArticle(got), strings.Join(each(want, withArticle), " or "))
	}
	if least, ok := schema["minimum"].(int); ok && number < float64(least) {
		return fmt.Errorf("it is %v; want at least %d", value, least)
	}
	list, ok := value.([]any)
	if !ok {
		return nil
	}
	if least, ok := schema["minItems"].(int); ok && len(list) < least {
		return fmt.Errorf("the list is empty; want at least %d value", least)
	}
	items, _ := schema["items"].(object)
	for i, v := range list {
		if err := fits(items, v); err != nil {
			return fmt.Errorf("value %d of the list: %w", i+1, err)
		}
	}
	return nil
}

// jsonType is what a value that YAML gives is in JSON, a whole number being an integer, and its number if it is one.
func jsonType(value any) (string, float64) {
	switch v := value.(type) {
	case nil:
		return "null", 0
	case bool:
		return "boolean", 0
	case string:
		return "string", 0
	case []any:
		return "array", 0
	case int, int64, uint64, float64:
		number, _ := strconv.ParseFloat(fmt.Sprint(v), 64)
		if number == math.Trunc(number) {
			return "integer", number
		}
		return "number", number
	}
	return "object", 0
}

// withArticle is a word with its article.
func withArticle(word string) string {
	if strings.ContainsRune("aeiou", rune(word[0])) {
		return "an " + word
	}
	return "a " + word
}
