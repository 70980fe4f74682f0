package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// header has each form of declaration that the real header has.
const header = `
#define ORT_API_VERSION 24

typedef enum OrtErrorCode {
  ORT_OK,
  ORT_NO_MODEL = 0x4,  ///< comma, in a comment
  ORT_FAIL,
} OrtErrorCode;

typedef enum OrtMemType {
  /// any, comma
  OrtMemTypeCPUInput = -2,
  OrtMemTypeCPUOutput,
  OrtMemTypeCPU = OrtMemTypeCPUOutput,
  OrtMemTypeDefault
} OrtMemType;

struct OrtApi;

struct OrtApiBase {
  const OrtApi*(ORT_API_CALL* GetApi)(uint32_t version)NO_EXCEPTION;
  const char*(ORT_API_CALL* GetVersionString)(void)NO_EXCEPTION;
};

struct OrtApi {
  /// @{
  /** \brief First; the comment has a semicolon and ORT_API2_STATUS(Wrong, int)
   *
   * \since Version 1.4
   */
  OrtStatus*(ORT_API_CALL* CreateStatus)(OrtErrorCode code, _In_ const char* msg)NO_EXCEPTION ORT_ALL_ARGS_NONNULL;
  ORT_API2_STATUS(Run, _Inout_ OrtSession* session,
                  _In_reads_(input_len) const char* const* input_names);
  ORT_CLASS_RELEASE(Env);  // trailing; comment
  ORT_API2_STATUS(
      Wrapped, _In_ const OrtSession* session);
  // \since 1.24
  ORT_API_T(bool, HasShape, _In_ const OrtTensorTypeAndShapeInfo* info);
  /// \since Version 1.25
  ORT_API2_STATUS(TooNew, int x);
  ORT_API2_STATUS(AfterTooNew, int x);
};
`

func TestParseTable(t *testing.T) {
	got, err := parseTable(header, "OrtApi", 24)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"CreateStatus", "Run", "ReleaseEnv", "Wrapped", "HasShape"}; !slices.Equal(got, want) {
		t.Errorf("functions %v, want %v", got, want)
	}
	got, err = parseTable(header, "OrtApiBase", 24)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"GetApi", "GetVersionString"}; !slices.Equal(got, want) {
		t.Errorf("functions %v, want %v", got, want)
	}
}

func TestParseEnum(t *testing.T) {
	for _, c := range []struct {
		name string
		want []value
	}{
		{"OrtErrorCode", []value{{"ORT_OK", 0}, {"ORT_NO_MODEL", 4}, {"ORT_FAIL", 5}}},
		{"OrtMemType", []value{{"OrtMemTypeCPUInput", -2}, {"OrtMemTypeCPUOutput", -1}, {"OrtMemTypeCPU", -1}, {"OrtMemTypeDefault", 0}}},
	} {
		got, err := parseEnum(header, c.name)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestGoName(t *testing.T) {
	for _, c := range []struct {
		e       enumeration
		c, want string
	}{
		{enumeration{Strip: "ORT_", Prefix: "code"}, "ORT_INVALID_ARGUMENT", "codeInvalidArgument"},
		{enumeration{Strip: "OrtMemType", Prefix: "mem"}, "OrtMemTypeCPUInput", "memCPUInput"},
		{enumeration{Strip: "X_", Prefix: "element"}, "X_FLOAT8E4M3FN", "elementFloat8e4m3fn"},
	} {
		if got := goName(c.e, c.c); got != c.want {
			t.Errorf("goName(%s) = %s, want %s", c.c, got, c.want)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ name, header, want string }{
		{"no version", "struct OrtApi {\n};", "no #define ORT_API_VERSION"},
		{"old", strings.Replace(header, "VERSION 24", "VERSION 23", 1), "older than the wanted 24"},
		{"no base", strings.Replace(header, "struct OrtApiBase {", "struct Other {", 1), "no struct OrtApiBase"},
		{"no end", header[:strings.LastIndex(header, "};")], "struct OrtApi has no end"},
		{"empty", strings.Replace(header, "struct OrtApi {", "struct OrtApi {\n};", 1), "struct OrtApi is empty"},
		{"unknown form", strings.Replace(header, "ORT_CLASS_RELEASE(Env)", "int x", 1), `slot 2: cannot read the declaration "int x"`},
		{"twice", strings.Replace(header, "(\n      Wrapped,", "(Run,", 1), "Run is declared twice"},
		{"no enum", header, "no enum OrtLoggingLevel"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := generate(c.header, 24)
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q does not say %q", err, c.want)
			}
		})
	}
	if _, err := parseEnum("\ntypedef enum E {\n A = B\n};", "E"); err == nil {
		t.Error("a value that is not a number was taken")
	}
}

func TestRun(t *testing.T) {
	folder := t.TempDir()
	in, out := filepath.Join(folder, "h"), filepath.Join(folder, "api_gen.go")
	text := header
	for _, e := range enumerations() {
		if !strings.Contains(text, "typedef enum "+e.C+" {") {
			text += "\ntypedef enum " + e.C + " {\n  " + e.Strip + "ONE,\n} " + e.C + ";\n"
		}
	}
	if err := os.WriteFile(in, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	if err := run([]string{"-header", in, "-api", "24", "-o", out}, &stderr); err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"DO NOT EDIT", "const apiVersion = 24", "baseGetApi slot = iota", "\tslotRun\n", "memCPU       memType = -1",
		"codeNoModel errorCode = 4", "return \"NO_MODEL\"",
	} {
		if !strings.Contains(string(code), want) {
			t.Errorf("the generated file has no %q:\n%s", want, code)
		}
	}
	if strings.Contains(string(code), "TooNew") {
		t.Error("the generated file has functions of a later version")
	}
	for _, args := range [][]string{nil, {"-header", in}, {"-header", in, "-api", "24", "-o", out, "more"}, {"-header", filepath.Join(folder, "none"), "-api", "24", "-o", out}, {"-unknown"}} {
		if err := run(args, &stderr); err == nil {
			t.Errorf("arguments %q: no error", args)
		}
	}
}

// FuzzGenerate looks for text that the parser does not survive.
func FuzzGenerate(f *testing.F) {
	f.Add(header)
	f.Add("#define ORT_API_VERSION 24\nstruct OrtApiBase {/*")
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = generate(text, 24)
		_, _ = parseTable(text, "OrtApi", 24)
		_, _ = parseEnum(text, "OrtErrorCode")
	})
}
