package appc

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// Quantity is an amount of something, such as bytes or cores, as people write
// it: "16Mi", "1G", "500m".
type Quantity struct {
	text  string
	value int64
	milli int64
}

const (
	maxQuantityLength   = 40
	maxQuantityExponent = 30
)

// ParseQuantity reads a quantity: a decimal number and one of the suffixes m,
// k, M, G, T, P, E (powers of 1000), Ki, Mi, Gi, Ti, Pi, Ei (powers of 1024),
// or a decimal exponent such as e3. Negative amounts are refused.
func ParseQuantity(s string) (Quantity, error) {
	bad := fmt.Errorf("%.50q is not a quantity such as 16Mi, 1G or 500m", s)
	if len(s) > maxQuantityLength {
		return Quantity{}, bad
	}
	number := strings.TrimPrefix(s, "+")
	end := strings.IndexFunc(number, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	if end < 0 {
		end = len(number)
	}
	whole, fraction, _ := strings.Cut(number[:end], ".")
	if whole+fraction == "" || strings.Contains(fraction, ".") {
		return Quantity{}, bad
	}
	factor, ok := quantityFactor(number[end:])
	amount, parsed := new(big.Rat).SetString("0" + whole + "." + fraction + "0")
	if !ok || !parsed {
		return Quantity{}, bad
	}
	amount.Mul(amount, factor)
	q := Quantity{text: s, value: ceil(amount), milli: ceil(amount.Mul(amount, big.NewRat(1000, 1)))}
	if q.value == math.MaxInt64 {
		return Quantity{}, fmt.Errorf("quantity %q is too large", s)
	}
	return q, nil
}

// quantityFactor returns what a suffix multiplies by.
func quantityFactor(suffix string) (*big.Rat, bool) {
	if suffix == "m" {
		return big.NewRat(1, 1000), true
	}
	if len(suffix) > 1 && (suffix[0] == 'e' || suffix[0] == 'E') && suffix[1] != 'i' {
		n, err := strconv.Atoi(suffix[1:])
		if err != nil || n < -maxQuantityExponent || n > maxQuantityExponent {
			return nil, false
		}
		return power(10, n), true
	}
	base, letter := int64(1000), suffix
	if cut, binary := strings.CutSuffix(suffix, "i"); binary {
		base, letter = 1024, cut
		if letter == "K" {
			letter = "k"
		} else if letter == "k" {
			return nil, false
		}
	}
	n, ok := map[string]int{"": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}[letter]
	if !ok || letter == "" && suffix != "" {
		return nil, false
	}
	return power(base, n), true
}

func power(base int64, n int) *big.Rat {
	p := new(big.Int).Exp(big.NewInt(base), big.NewInt(int64(max(n, -n))), nil)
	if n < 0 {
		return new(big.Rat).SetFrac(big.NewInt(1), p)
	}
	return new(big.Rat).SetInt(p)
}

// ceil rounds up, and what does not fit becomes the largest number.
func ceil(r *big.Rat) int64 {
	n, rest := new(big.Int).QuoRem(r.Num(), r.Denom(), new(big.Int))
	if rest.Sign() > 0 {
		n.Add(n, big.NewInt(1))
	}
	if !n.IsInt64() {
		return math.MaxInt64
	}
	return n.Int64()
}

// String returns the quantity as it was written.
func (q Quantity) String() string { return q.text }

// Value returns the amount in whole units, rounded up.
func (q Quantity) Value() int64 { return q.value }

// MilliValue returns the amount in thousandths, rounded up; what does not fit
// becomes the largest number.
func (q Quantity) MilliValue() int64 { return q.milli }
