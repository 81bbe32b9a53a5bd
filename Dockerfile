# dnsd in a container: `docker build -t dnsd .`. `scripts/try-dockerfile` carries these steps out without Docker.

# --- build: the server and its libraries, in the pinned versions, in a virtual environment ---------------------------
FROM python:3.11-slim AS build

# For the control API over gRPC: `docker build --build-arg 'EXTRAS=[grpc]' .`
ARG EXTRAS=
ENV PIP_CONSTRAINT=/src/constraints.txt \
    PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY pyproject.toml constraints.txt hatch_build.py README.md LICENSE ./
COPY proto ./proto
COPY dnsd ./dnsd
COPY admin ./admin
RUN python -m pip wheel --quiet --wheel-dir /wheels ".$EXTRAS"
RUN python -m venv /opt/dnsd \
    && /opt/dnsd/bin/pip install --quiet --no-index --find-links /wheels "dnsd$EXTRAS" \
    && /opt/dnsd/bin/pip uninstall --quiet --yes pip

# --- the image: no compiler, no pip, a user without rights -----------------------------------------------------------
FROM python:3.11-slim

RUN useradd --system --user-group --uid 5300 --no-create-home --home-dir /var/lib/dnsd --shell /usr/sbin/nologin dnsd
COPY --from=build /opt/dnsd /opt/dnsd
# An example that answers on every IPv4 address of the container; mount a folder of your own over /etc/dnsd.
COPY deploy/container.toml /etc/dnsd/config.toml
COPY zones /etc/dnsd/zones
RUN install --directory --owner=dnsd --group=dnsd --mode=0750 /var/lib/dnsd

# The `dnsd` command inside the container and the health check ask here. The admin interface stays on loopback unless
# the configuration has tokens; where it listens elsewhere, set this to match.
ENV PATH=/opt/dnsd/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    DNSD_SERVER=http://127.0.0.1:8053
USER dnsd
WORKDIR /var/lib/dnsd
VOLUME /var/lib/dnsd
# Above 1023, which needs no capability: publish it as 53 with `-p 53:5300/udp -p 53:5300/tcp`.
EXPOSE 5300/udp 5300/tcp 8053/tcp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(os.environ['DNSD_SERVER'] + '/livez', timeout=2)"]
ENTRYPOINT ["dnsd", "serve", "--config", "/etc/dnsd/config.toml"]
