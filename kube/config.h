/* SPDX-License-Identifier: Apache-2.0 */
/* config.h - where the cluster is and who we are: kubeconfig files, in-cluster files, flags.
 *
 * Order as client-go's: the flag's file; else the files of $KUBECONFIG merged (first file to set a
 * value wins); else the service account of the pod; else ~/.kube/config. Errors name file, path
 * inside it ("users[2].user.client-certificate") and what would be right; never a secret.
 *
 * Source: client-go tools/clientcmd, Kubernetes "Organizing cluster access using kubeconfig files".
 */
#ifndef KUBE_CONFIG_H
#define KUBE_CONFIG_H

#include "cel/base/buf.h"

enum {
    KUBE_CONFIG_FILE_MAX = 4 * 1024 * 1024, /* bytes of one kubeconfig */
    KUBE_CONFIG_FILES_MAX = 64,
    KUBE_TOKEN_MAX = 64 * 1024, /* bytes of a token */
    KUBE_TOKEN_REFRESH_MS =
        60 * 1000, /* how long a token file's content is trusted; client-go: 1 min */
    KUBE_EXEC_TIMEOUT_MS = 60 * 1000, /* an exec plug-in's time to answer */
    KUBE_EXEC_OUTPUT_MAX = 1024 * 1024,
};

struct kube_exec { /* a client.authentication.k8s.io exec plug-in */
    char *command;
    char **args; /* NULL-terminated */
    char **env;  /* "NAME=VALUE", NULL-terminated: added to ours */
    char *api_version;
    char *install_hint;
    bool provide_cluster_info;
    char *cluster_config; /* JSON: the cluster's extension client.authentication.k8s.io/exec, or
                             NULL */
    uint32_t timeout_ms;  /* 0: KUBE_EXEC_TIMEOUT_MS; not from the file */
    char *base_dir;       /* relative commands are looked up here: the kubeconfig's folder */
};

struct kube_config {
    char *server;            /* "https://host:port[/prefix]", no trailing slash */
    char *context;           /* name of the context in use; "in-cluster" */
    char *namespace;         /* of the context; "default" when it has none */
    char *user;              /* name of the user entry; for messages */
    char *ca_file, *ca_data; /* PEM */
    bool insecure;           /* insecure-skip-tls-verify */
    char *tls_server_name;
    char *proxy_url;
    char *cert_file, *cert_data; /* client certificate, PEM */
    char *key_file, *key_data;
    char *token, *token_file;
    char *username, *password;
    char *as_user, *as_uid; /* impersonation */
    char **as_groups;       /* NULL-terminated, or NULL */
    struct kube_exec *exec;
};

struct kube_config_source {
    const char *kubeconfig;                  /* --kubeconfig; NULL or "": by the order above */
    const char *context;                     /* --context; NULL: current-context */
    const char *env_kubeconfig;              /* $KUBECONFIG */
    const char *home;                        /* $HOME */
    const char *service_host, *service_port; /* $KUBERNETES_SERVICE_HOST, _PORT */
    const char *service_account_dir; /* NULL: /var/run/secrets/kubernetes.io/serviceaccount */
};

/* Fills a source from the process's environment. */
void kube_config_source_env(struct kube_config_source *s);
/* Returns owned in *out. KR_E_INPUT with file, path and reason. */
KR_MUST int kube_config_load(const struct kube_config_source *s, struct kube_config **out,
                             struct kr_err *err);
void kube_config_free(struct kube_config *c); /* accepts NULL; wipes secrets */
KR_DEFINE_FREEP(kube_config)

#endif
