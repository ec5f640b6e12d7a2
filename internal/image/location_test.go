package image

import "testing"

func TestSignatureURL(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"https://a.com/x.aci":         "https://a.com/x.aci.asc",
		"https://a.com/x.aci?token=y": "https://a.com/x.aci.asc?token=y",
		"https://a.com/a%2Fx.aci":     "https://a.com/a%2Fx.aci.asc",
	} {
		if got, err := SignatureURL(in); err != nil || got != want {
			t.Errorf("%s: %s, %v", in, got, err)
		}
	}
	if got, err := SignatureURL("https://a.com/\x01"); err == nil {
		t.Errorf("got %s", got)
	}
}
