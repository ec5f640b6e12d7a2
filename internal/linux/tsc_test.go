package linux

import "testing"

// TestTSCIsSteady measures twice; the processor's counter runs at one speed.
func TestTSCIsSteady(t *testing.T) {
	t.Parallel()
	one, other := NewTSCMeter().Kilohertz(), NewTSCMeter().Kilohertz()
	if readTSC() == 0 {
		if one != 0 {
			t.Errorf("%d kHz without a counter", one)
		}
		return
	}
	difference := int64(one) - int64(other)
	if one == 0 || difference*1000 > int64(one) || -difference*1000 > int64(one) {
		t.Errorf("%d kHz, then %d kHz", one, other)
	}
}
