// A Kubernetes control plane in one program: etcd, kube-apiserver,
// kube-controller-manager and kubectl are its subcommands, and so is kubectl's
// reading of files (read.go). It exists for tests: there is no kubelet, no
// scheduler and no leader election.
//
// A server lives as long as the process that started it: it ends when its
// standard input does. Unlike a parent-death signal, which is tied to the
// thread that forked, a pipe is closed by the kernel only when the whole
// parent is gone, however it died.
package main

import (
	"fmt"
	"io"
	"os"
	"time"
	_ "time/tzdata" // time zones of CronJobs, also where the machine has none

	"go.etcd.io/etcd/server/v3/etcdmain"
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

// removeVariable names a directory to remove when the parent has gone without
// removing it itself. It is not set for a directory that the caller chose.
const removeVariable = "GITMOOR_CLUSTER_REMOVE"

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	component := os.Args[1]
	// The components parse os.Args themselves and name themselves after the first.
	os.Args = os.Args[1:]
	switch component {
	case "etcd":
		go endWithParent()
		etcdmain.Main(os.Args)
	case "kube-apiserver":
		go endWithParent()
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		go endWithParent()
		os.Exit(cli.Run(controllermanager.NewControllerManagerCommand()))
	case "kubectl":
		if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
			kubectlutil.CheckErr(err)
		}
	case "read":
		if len(os.Args) != 2 {
			usage()
		}
		if err := readFiles(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	default:
		usage()
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: control-plane etcd|kube-apiserver|kube-controller-manager|kubectl|read [argument ...]")
	os.Exit(2)
}

// endWithParent returns never: it waits for the end of standard input, removes
// the directory that the parent can no longer remove, and exits.
func endWithParent() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	if directory := os.Getenv(removeVariable); directory != "" {
		// The other servers, and this one, may still be writing there.
		for range 100 {
			if os.RemoveAll(directory) == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	os.Exit(1)
}
