// Guard is the plugin that the stage1's own program is, too.
package main

import "rkt/internal/network/guard"

func main() { guard.Main() }
