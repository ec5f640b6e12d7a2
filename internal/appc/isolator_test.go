package appc_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rkt/internal/appc"
)

func isolators(t *testing.T, list string) (appc.Isolators, error) {
	t.Helper()
	m, err := appc.ParseImageManifest([]byte(`{"acKind":"ImageManifest","acVersion":"0.8.11","name":"a",
		"app":{"exec":["/a"],"user":"0","group":"0","isolators":` + list + `}}`))
	if err != nil {
		return nil, err
	}
	return m.App.Isolators, nil
}

func mustQuantity(t *testing.T, s string) appc.Quantity {
	t.Helper()
	q, err := appc.ParseQuantity(s)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestLimits(t *testing.T) {
	t.Parallel()
	is, err := isolators(t, `[
		{"name":"resource/memory","value":{"limit":"1G"}},
		{"name":"resource/cpu","value":{"request":"1","limit":"250m"}},
		{"name":"resource/memory","value":{"request":"8Mi","limit":"16Mi"}}]`)
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := is.MemoryLimit(); !ok || n != 16<<20 {
		t.Errorf("MemoryLimit = %d, %v: the last one wins", n, ok)
	}
	if n, ok := is.CPULimit(); !ok || n != 250 {
		t.Errorf("CPULimit = %d, %v", n, ok)
	}
	is = append(is, appc.MemoryIsolator(mustQuantity(t, "2Ki")), appc.CPUIsolator(mustQuantity(t, "3")))
	if n, ok := is.MemoryLimit(); !ok || n != 2048 {
		t.Errorf("MemoryLimit = %d, %v", n, ok)
	}
	if n, ok := is.CPULimit(); !ok || n != 3000 {
		t.Errorf("CPULimit = %d, %v", n, ok)
	}
	if _, ok := (appc.Isolators{}).MemoryLimit(); ok {
		t.Error("no isolator limits memory")
	}
	if want := `{"default":false,"request":"3","limit":"3"}`; string(is[4].Value) != want {
		t.Errorf("the value is %s, want %s", is[4].Value, want)
	}
}

func TestCapabilities(t *testing.T) {
	t.Parallel()
	defaults, err := appc.Isolators(nil).Capabilities()
	if err != nil || len(defaults) != 14 {
		t.Errorf("default: %v, %v", defaults, err)
	}
	for list, want := range map[string][]string{
		`[{"name":"os/linux/capabilities-retain-set","value":{"set":["CAP_SYS_ADMIN","CAP_CHOWN","CAP_CHOWN"]}}]`: {"CAP_CHOWN", "CAP_SYS_ADMIN"},
		`[{"name":"os/linux/capabilities-remove-set","value":{"set":["CAP_AUDIT_WRITE","CAP_SYS_ADMIN"]}}]`:       defaults[1:],
	} {
		is, err := isolators(t, list)
		if err != nil {
			t.Fatal(err)
		}
		got, err := is.Capabilities()
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", list, err, diff)
		}
	}
	is, err := isolators(t, `[{"name":"os/linux/capabilities-retain-set","value":{"set":["CAP_CHOWN"]}},
		{"name":"os/linux/capabilities-remove-set","value":{"set":["CAP_CHOWN"]}}]`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := is.Capabilities(); err == nil {
		t.Error("both sets were accepted")
	}
}

func TestNoNewPrivileges(t *testing.T) {
	t.Parallel()
	is, err := isolators(t, `[{"name":"os/linux/no-new-privileges","value":true},{"name":"os/linux/no-new-privileges","value":false}]`)
	if err != nil || !is.NoNewPrivileges() {
		t.Errorf("%v: any true wins", err)
	}
	if (appc.Isolators{}).NoNewPrivileges() {
		t.Error("on without an isolator")
	}
}

func TestIsolatorValues(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		`[{"name":"example.com/own","value":[1,{"a":null}]}]`:                                       "",
		`[{"name":"resource/network-bandwidth","value":{"limit":"1G"}}]`:                            "",
		`[{"name":"os/linux/cpu-shares","value":2}]`:                                                "",
		`[{"name":"os/linux/seccomp-retain-set","value":{"set":["@appc.io/all"],"errno":"EPERM"}}]`: "",
		`[{"name":"resource/memory"}]`:                                                              "app.isolators[0].value: missing",
		`[{"name":"resource/memory","value":{"limit":"big"}}]`:                                      "app.isolators[0].value.limit: ",
		`[{"name":"resource/cpu","value":{"request":"-1"}}]`:                                        "app.isolators[0].value.request: ",
		`[{"name":"resource/cpu","value":{"limit":1}}]`:                                             "app.isolators[0].value.limit: a JSON number where a string is expected",
		`[{"name":"os/linux/cpu-shares","value":1}]`:                                                "must be from 2 to 262144",
		`[{"name":"os/linux/oom-score-adj","value":-1001}]`:                                         "must be from -1000 to 1000",
		`[{"name":"os/linux/no-new-privileges","value":"yes"}]`:                                     "true or false is expected",
		`[{"name":"os/linux/capabilities-retain-set","value":{"set":[]}}]`:                          "value.set: must not be empty",
		`[{"name":"os/linux/capabilities-remove-set","value":{"set":["CHOWN"]}}]`:                   `value.set[0]: "CHOWN" is not a capability`,
		`[{"name":"os/linux/seccomp-remove-set","value":{}}]`:                                       "value.set: must not be empty",
		`[{"value":1}]`: "app.isolators[0].name: missing",
	} {
		_, err := isolators(t, list)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", list, err, want)
		}
	}
}
