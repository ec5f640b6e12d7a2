package appargs_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/pflag"

	"rkt/internal/appc"
	"rkt/internal/cli/appargs"
)

// newParser returns a parser and flags as a command would set them up: a
// boolean and a string of the command's own beside the parser's.
func newParser() (*appargs.Parser, *pflag.FlagSet) {
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	flags.Bool("debug", false, "")
	flags.String("net", "", "")
	flags.BoolP("help", "h", false, "")
	p := new(appargs.Parser)
	p.AddFlags(flags)
	return p, flags
}

func quantity(t *testing.T, s string) *appc.Quantity {
	t.Helper()
	q, err := appc.ParseQuantity(s)
	if err != nil {
		t.Fatal(err)
	}
	return &q
}

func TestParse(t *testing.T) {
	t.Parallel()
	number := func(n int) *int { return &n }
	for words, want := range map[string][]*appargs.App{
		"":                     nil,
		"a":                    {{Image: "a"}},
		"a b":                  {{Image: "a"}, {Image: "b"}},
		"--- a --- b":          {{Image: "a"}, {Image: "b"}},
		"a -- x --y -- z":      {{Image: "a", Args: []string{"x", "--y", "--", "z"}}},
		"a -- x --- b -- y":    {{Image: "a", Args: []string{"x"}}, {Image: "b", Args: []string{"y"}}},
		"a --exec=/x -- y":     {{Image: "a", Exec: "/x", Args: []string{"y"}}},
		"a --exec /x b":        {{Image: "a", Exec: "/x"}, {Image: "b"}},
		"a --exec -- -- y":     {{Image: "a", Exec: "--", Args: []string{"y"}}},
		"a -- x --- --name=n":  {{Image: "a", Args: []string{"x"}, Name: "n"}},
		"a --debug b --net=n":  {{Image: "a"}, {Image: "b"}},
		"--net n --debug a":    {{Image: "a"}},
		"-":                    {{Image: "-"}},
		"a --exec=--name=b":    {{Image: "a", Exec: "--name=b"}},
		"a --signature=s.asc":  {{Image: "a", Signature: "s.asc"}},
		"a --user=u --group 5": {{Image: "a", User: "u", Group: "5"}},
		"a --working-dir=/w":   {{Image: "a", WorkingDir: "/w"}},
		"a --environment=A=b=c --environment=B=": {{Image: "a", Environment: []appargs.Pair{
			{Name: "A", Value: "b=c"}, {Name: "B"},
		}}},
		"a --annotation=x.y/z=1 --user-annotation=Ü=2 --user-label=l=3": {{
			Image:           "a",
			Annotations:     []appargs.Pair{{Name: "x.y/z", Value: "1"}},
			UserAnnotations: []appargs.Pair{{Name: "Ü", Value: "2"}},
			UserLabels:      []appargs.Pair{{Name: "l", Value: "3"}},
		}},
		"a --supplementary-gids=1,2": {{Image: "a", SupplementaryGIDs: []int{1, 2}}},
		"a --readonly-rootfs=true":   {{Image: "a", ReadOnlyRootFS: true}},
		"a --memory=16Mi --cpu=500m": {{Image: "a", Memory: quantity(t, "16Mi"), CPU: quantity(t, "500m")}},
		"a --cpu-shares=2 --oom-score-adj=-1000": {{
			Image: "a", CPUShares: number(2), OOMScoreAdj: number(-1000),
		}},
		"a --caps-retain=CAP_KILL,CAP_CHOWN b --cap-remove CAP_KILL": {
			{Image: "a", CapsRetain: []string{"CAP_KILL", "CAP_CHOWN"}},
			{Image: "b", CapsRemove: []string{"CAP_KILL"}},
		},
	} {
		p, flags := newParser()
		if err := p.Parse(strings.Fields(words), flags); err != nil {
			t.Errorf("%s: %v", words, err)
			continue
		}
		diff := cmp.Diff(want, p.Apps, cmpopts.IgnoreUnexported(appargs.App{}), cmp.AllowUnexported(appc.Quantity{}))
		if diff != "" {
			t.Errorf("%s: (-want +got)\n%s", words, diff)
		}
	}
}

func TestParseKeepsEmptyArguments(t *testing.T) {
	t.Parallel()
	p, flags := newParser()
	if err := p.Parse([]string{"", "a", "", "--", "", "x", ""}, flags); err != nil {
		t.Fatal(err)
	}
	if len(p.Apps) != 1 || !slices.Equal(p.Apps[0].Args, []string{"", "x", ""}) {
		t.Errorf("got %+v", p.Apps[0])
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]string{
		"-- x":                                  "an image is required before any app arguments",
		"a -- x --- -- y":                       "only one set of app arguments allowed per image",
		"--exec=/x a":                           "--exec must follow an image",
		"--memory=1G a":                         "--memory must follow an image",
		"a --exec=/x --exec=/y":                 "--exec may be given only once for an image",
		"a --signature=x --signature=y":         "--signature may be given only once for an image",
		"a --exec":                              "flag needs an argument: --exec",
		"a --exec=":                             "--exec must not be empty",
		"a --nope=1":                            "unknown flag: --nope",
		"a -x":                                  "unknown flag: -x",
		"a -exec=/x":                            "unknown flag: -exec",
		"a --debug=maybe":                       `invalid argument "maybe" for "--debug" flag: strconv.ParseBool: parsing "maybe": invalid syntax`,
		"a --readonly-rootfs=maybe":             "--readonly-rootfs must be set with a boolean",
		"a --name=Bad_Name":                     `--name: AC name "Bad_Name" has the invalid character 'B'`,
		"a --working-dir=w":                     `--working-dir "w" must be an absolute path`,
		"a --environment=x":                     `--environment "x": must be specified as key=value`,
		"a --environment==x":                    `--environment "=x": must be specified as key=value`,
		"a --environment=k=1 --environment=k=2": `--environment "k=2": key "k" already set`,
		"a --annotation=A=1":                    `--annotation "A=1": AC identifier "A" has the invalid character 'A'`,
		"a --supplementary-gids=1,x":            `--supplementary-gids: "x" is no group id`,
		"a --memory=4000":                       "memory limit of 4000 bytes too low. Try a reasonable value, such as --memory=16M",
		"a --cpu=0":                             `--cpu "0": must be more than nothing`,
		"a --cpu-shares=1":                      `--cpu-shares "1": must be a number between 2 and 262144`,
		"a --oom-score-adj=1001":                `--oom-score-adj "1001": must be a number between -1000 and 1000`,
		"a --caps-retain=,":                     `--caps-retain ",": an entry of the list is empty`,
		"a --caps-retain=CAP_A --caps-remove=CAP_B": "error: cannot use both --caps-retain and --caps-remove on the same image",
	} {
		p, flags := newParser()
		if err := p.Parse(strings.Fields(words), flags); err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", words, err, want)
		}
	}
}

func TestParseWithoutArguments(t *testing.T) {
	t.Parallel()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	p := &appargs.Parser{NoArgs: true}
	p.AddSignatureFlag(flags)
	if err := p.Parse([]string{"a", "--signature=s", "--", "x"}, flags); err == nil || err.Error() != "app arguments unsupported" {
		t.Errorf("got %v", err)
	}
}

func TestCommandFlagsAreSet(t *testing.T) {
	t.Parallel()
	p, flags := newParser()
	if err := p.Parse([]string{"--debug", "a", "-h", "--net", "none"}, flags); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"debug": "true", "help": "true", "net": "none"} {
		if flag := flags.Lookup(name); flag.Value.String() != want || !flag.Changed {
			t.Errorf("--%s is %s, changed: %v", name, flag.Value, flag.Changed)
		}
	}
}

// FuzzParse writes down what was understood and expects to understand the same
// again.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"a -- x --- b", "--debug\na\n--exec\n--\n--\ny", "a\n--environment=A=b\n---\n-", "a\n--memory=1G\n--cpu\n2",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, flags := newParser()
		if p.Parse(strings.Split(text, "\n"), flags) != nil {
			return
		}
		var words []string
		for _, app := range p.Apps {
			words = append(words, app.Image)
			if app.Exec != "" {
				words = append(words, "--exec", app.Exec)
			}
			for _, v := range app.Environment {
				words = append(words, "--environment="+v.Name+"="+v.Value)
			}
			if app.Args != nil {
				words = append(append(append(words, "--"), app.Args...), "---")
			}
		}
		again, flags := newParser()
		if err := again.Parse(words, flags); err != nil {
			t.Fatalf("%q: %v", words, err)
		}
		keep := cmpopts.IgnoreFields(appargs.App{}, "Signature", "Name", "WorkingDir", "User", "Group",
			"SupplementaryGIDs", "ReadOnlyRootFS", "Annotations", "UserAnnotations", "UserLabels",
			"Memory", "CPU", "CPUShares", "OOMScoreAdj", "CapsRetain", "CapsRemove")
		if diff := cmp.Diff(p.Apps, again.Apps, keep, cmpopts.IgnoreUnexported(appargs.App{})); diff != "" {
			t.Errorf("%q: (-first +second)\n%s", words, diff)
		}
	})
}
