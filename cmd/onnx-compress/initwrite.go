package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/onnx-compress/onnx-compress/internal/quote"
	"github.com/onnx-compress/onnx-compress/verify"
)

// configFor is a commented configuration with the answers.
func configFor(about *subject, a answers) (string, error) {
	var b strings.Builder
	line := func(format string, words ...any) { fmt.Fprintf(&b, format+"\n", words...) }
	line("# yaml-language-server: $schema=%s", schemaID)
	line("# Made by `onnx-compress init`. %s", about.text)
	line("# In this folder it is read by compress, explore, status, check and convert; what stands on the command line wins.")
	line("# `onnx-compress help compress` lists every flag, `onnx-compress config` checks this file.")
	line("compress:")
	var failed error
	put := func(name, remark, otherwise string) {
		switch {
		case a[name] != nil:
			value, err := valueText(a[name])
			if err != nil && failed == nil {
				failed = fmt.Errorf("%s: %w", name, err)
			}
			if remark != "" {
				line("  # %s", remark)
			}
			line("  %s: %s", name, value)
		case otherwise != "":
			line("  # %s", remark)
			line("  # %s: %s", name, otherwise)
		}
	}
	here := "calib.npz"
	if about.takesImages() {
		here = "photos/"
	}
	put("calib", "A few hundred samples like those that the model will see; no labels.", here)
	put("labels", "Their classes, for accuracy in the result.", "")
	remark := "How images are prepared: as for training, and as where the model runs."
	for _, name := range prepares {
		put(name, remark, "")
		if a[name] != nil {
			remark = ""
		}
	}
	if a["calib"] == nil {
		for _, pair := range about.preparation(here) {
			if remark != "" {
				line("  # %s", remark)
				remark = ""
			}
			line("  # %s", strings.Replace(pair, "=", ": ", 1))
		}
	}
	put("input-shape", "The sizes that the model leaves open.", "")
	put("kind", "What outputs are, by which they are judged: "+kindsText()+".", about.kinds())
	put("target", "What to reach: as small as one of agree=99%, cosine=0.99, boxes=98%, iou=97%, cer=1%, snr=30dB, drop=0.5% (with labels) allows; or macs=0.5, params=60%, bytes=20MB, latency=0.6.", "")
	put("for", "What the model is made for: cpu, cpu-int8, tensorrt or size.", "cpu")
	line("  # Nodes that stay as they are.")
	line("  # keep: ['*/head*']")
	line("  # Which decompositions are on offer, and width, which makes layers narrower; `onnx-compress methods` explains them.")
	line("  # methods: svd,width")
	if failed != nil {
		return "", failed
	}
	if _, err := parseConfig([]byte(b.String())); err != nil {
		return "", err
	}
	return b.String(), nil
}

func kindsText() string {
	return strings.Join(each(verify.Kinds(), func(k verify.Kind) string { return string(k) }), ", ")
}

// kinds are those that the program tells the outputs to be, as a value.
func (s *subject) kinds() string {
	var out []string
	for _, o := range s.outputs {
		out = append(out, strconv.Quote(quote.Name(o.Name)+"="+string(o.Kind)))
	}
	if len(out) == 0 {
		return ""
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// valueText writes words as a value in one line: a list where there are several.
func valueText(words []string) (string, error) {
	var out []string
	for _, word := range words {
		if _, err := strconv.ParseFloat(word, 64); err == nil {
			out = append(out, word)
			continue
		}
		data, err := yaml.MarshalWithOptions(word, yaml.JSON())
		if err != nil {
			return "", err
		}
		out = append(out, plainest(strings.TrimSpace(string(data)), word))
	}
	if len(out) == 1 {
		return out[0], nil
	}
	return "[" + strings.Join(out, ", ") + "]", nil
}

// plainest leaves the quotes out where a word means itself in YAML, within lists too.
func plainest(quoted, word string) string {
	plain := word != "" && !strings.ContainsFunc(word, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789=%./_-", r)
	}) && !strings.HasPrefix(word, "-") && !strings.HasPrefix(word, "=") && !strings.HasPrefix(word, "%")
	var v any
	if plain && yaml.Unmarshal([]byte(word), &v) == nil {
		if s, ok := v.(string); ok && s == word {
			return word
		}
	}
	return quoted
}
