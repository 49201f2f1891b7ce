//go:build tools

// SPDX-License-Identifier: Apache-2.0

// Package tools names the program that the module exists for, so that `go mod tidy` keeps it.
package tools

import _ "helm.sh/helm/v3/cmd/helm"
