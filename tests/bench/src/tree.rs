//! What the repositories hold. Pure: from numbers to files.

use serde_json::json;

/// A file: its path and content.
pub(crate) type File = (String, String);

/// A package of four objects, as a chart of a small service has them; nothing runs.
pub(crate) fn package(number: usize) -> File {
    let name = format!("app-{number}");
    let image = "registry.example.org/app:1.2.3";
    let content = format!(
        "\
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {name}
---
apiVersion: v1
kind: Service
metadata:
  name: {name}
  labels:
    app: {name}
spec:
  selector:
    app: {name}
  ports:
    - name: http
      port: 80
      targetPort: 8080
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  labels:
    app: {name}
spec:
  replicas: 0
  selector:
    matchLabels:
      app: {name}
  template:
    metadata:
      labels:
        app: {name}
    spec:
      serviceAccountName: {name}
      containers:
        - name: app
          image: {image}
          ports:
            - containerPort: 8080
          resources:
            requests:
              cpu: 10m
              memory: 32Mi
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {name}
spec:
  rules:
    - host: {name}.example.org
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: {name}
                port:
                  number: 80
"
    );
    (format!("packages/{}/{name}.yaml", number / 100), content)
}

/// The kinds of a package, as group, version, kind and plural name.
pub(crate) const PACKAGE_KINDS: [(&str, &str, &str, &str); 4] = [
    ("", "v1", "ServiceAccount", "serviceaccounts"),
    ("", "v1", "Service", "services"),
    ("apps", "v1", "Deployment", "deployments"),
    ("networking.k8s.io", "v1", "Ingress", "ingresses"),
];

/// The objects of one package, as they are sent.
pub(crate) fn package_bodies(name: &str) -> [serde_json::Value; 4] {
    let metadata = json!({"name": name});
    [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {
            "selector": {"app": name}, "ports": [{"port": 80}]}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "app", "image": "registry.example.org/app"}]}}}}),
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata,
            "spec": {"defaultBackend": {"service": {"name": name, "port": {"number": 80}}}}}),
    ]
}

/// The name of a ConfigMap by its number.
pub(crate) fn map_name(number: usize) -> String {
    format!("map-{number}")
}

/// `files` files of `each` ConfigMaps, a hundred files a folder.
pub(crate) fn maps(files: usize, each: usize) -> Vec<File> {
    (0..files).map(|file| maps_file(file, each, None)).collect()
}

/// One of these files; in the changed one, the value of the file's first ConfigMap is another.
pub(crate) fn maps_file(file: usize, each: usize, changed: Option<&str>) -> File {
    let mut content = String::new();
    for number in file * each..(file + 1) * each {
        let value = match changed {
            Some(changed) if number == file * each => changed.to_owned(),
            _ => format!("value-{number}"),
        };
        content.push_str(&format!(
            "\
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {}
  labels:
    app: settings
data:
  key: {value}
  other: |
    a = 1
    b = 2
",
            map_name(number)
        ));
    }
    (format!("maps/{}/file-{file}.yaml", file / 100), content)
}

#[cfg(test)]
mod tests {
    use super::{map_name, maps, maps_file, package};

    #[test]
    fn every_object_has_a_name_of_its_own() {
        let files = maps(5, 4);
        assert_eq!(files.len(), 5);
        for number in 0..20 {
            let line = format!("  name: {}\n", map_name(number));
            let found = files.iter().filter(|(_, content)| content.contains(&line));
            assert_eq!(found.count(), 1, "{line}");
        }
    }

    #[test]
    fn a_change_is_one_line() {
        let (path, before) = maps_file(3, 20, None);
        let (same, after) = maps_file(3, 20, Some("new"));
        assert_eq!(path, same);
        let differ = before
            .lines()
            .zip(after.lines())
            .filter(|(before, after)| before != after);
        assert_eq!(
            differ.collect::<Vec<_>>(),
            [("  key: value-60", "  key: new")]
        );
    }

    #[test]
    fn a_package_has_four_objects() {
        let (_, content) = package(7);
        assert_eq!(content.matches("kind: ").count(), 4);
    }
}
