"""Checks docker-compose.yml without Docker: what it says hangs together, and with the files beside it.

`docker compose config` checks the syntax where the plugin is at hand; this also checks what that does not: that every
dependency waits for a condition that can come true, and that mounted files and the nginx template's names exist.
"""

import pathlib
import re
import sys

import yaml

compose_file = pathlib.Path(sys.argv[1])
root = compose_file.resolve().parent
compose = yaml.safe_load(compose_file.read_text())
services = compose["services"]
dockerfile = (root / "Dockerfile").read_text()
errors = []


def expect(condition: bool, message: str) -> None:
    if not condition:
        errors.append(message)


for name, service in services.items():
    expect("image" in service or "build" in service, f"{name}: neither image nor build")
    image = service.get("image", "")
    expect(":" in image or "build" in service, f"{name}: image {image!r} has no tag")
    expect(not image.endswith(":latest"), f"{name}: image {image!r} is a moving target")
    for other, dependency in service.get("depends_on", {}).items():
        expect(other in services, f"{name}: depends on {other!r}, which is not a service")
        condition = dependency["condition"]
        if condition == "service_healthy":
            waited_for = services.get(other, {})
            healthy = "healthcheck" in waited_for or ("build" in waited_for and "\nHEALTHCHECK " in dockerfile)
            expect(healthy, f"{name}: waits for {other} to be healthy, but that has no healthcheck")
        else:
            expect(condition == "service_completed_successfully", f"{name}: {other}: unknown condition {condition!r}")
            expect(services[other].get("restart", "no") == "no", f"{other}: runs once, but restarts for ever")
    for mount in service.get("volumes", []):
        source = mount.split(":")[0]
        if source.startswith("."):
            expect((root / source).exists(), f"{name}: mounts {source}, which does not exist")
        else:
            expect(source in compose.get("volumes", {}), f"{name}: volume {source!r} is not declared")

# The nginx template's names all have a value, and each node is a service that listens there.
nginx = services["nginx"]
names = set(re.findall(r"\$\{([A-Z0-9_]+)\}", (root / "config/nginx.conf").read_text()))
environment = nginx["environment"]
expect(names == set(environment), f"nginx: config/nginx.conf needs {sorted(names)}, set are {sorted(environment)}")
for name in sorted(n for n in names if n.startswith("RTMN_NODE_")):
    host, port = environment[name].split(":")
    expect(host in services, f"nginx: {name} names {host!r}, which is not a service")
    expect(str(services.get(host, {}).get("environment", {}).get("PORT")) == port, f"nginx: {name} is not {host}'s PORT")
    expect(host in nginx["depends_on"], f"nginx: does not wait for {host}")

for error in errors:
    print(f"{compose_file.name}: {error}", file=sys.stderr)
sys.exit(1 if errors else 0)
