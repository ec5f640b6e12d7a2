// Command guest is the agent inside a pod's machine.
package main

func main() {}
