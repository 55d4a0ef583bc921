# The service as an image: Debian's Python, the packages that deploy/requirements.txt locks, no more.
# `make image` builds it; `make container-check` builds it and proves what docs/deployment.md says of it.

FROM debian:bookworm-slim AS python
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && apt-get clean \
    && rm -rf /var/lib/apt/lists/*


FROM python AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3-venv \
    && python3 -m venv /build \
    && python3 -m venv --without-pip /opt/digitstrip
# Both secrets are optional and leave nothing behind: for those whose packages come by way of a mirror
# or proxy, a pip.conf and the CA bundle that it may name.
COPY deploy/requirements.txt deploy/build-requirements.txt /src/deploy/
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf --mount=type=secret,id=ca_bundle \
    /build/bin/pip install --no-cache-dir --only-binary :all: --require-hashes \
        -r /src/deploy/build-requirements.txt \
    && /build/bin/pip --python /opt/digitstrip/bin/python install --no-cache-dir --no-compile \
        --only-binary :all: --require-hashes -r /src/deploy/requirements.txt
# What no service runs: tests, numpy's build tools, Pillow's decoder of AVIF, a format that is not
# read; of onnxruntime the tools that make and shrink models, and a second copy of the library, for C
# programs.
RUN cd /opt/digitstrip/lib/python3*/site-packages \
    && find . -depth -type d -name tests -exec rm -r {} \; \
    && rm -r numpy/distutils numpy/f2py PIL/_avif.*.so pillow.libs/libavif-* \
        onnxruntime/backend onnxruntime/datasets onnxruntime/quantization onnxruntime/tools \
        onnxruntime/transformers onnxruntime/capi/libonnxruntime.so.*
COPY pyproject.toml README.md LICENSE /src/
COPY digitstrip /src/digitstrip
COPY service /src/service
# Compiled here, since at run time nothing can be written; the service cannot train, so no command
# for that.
RUN /build/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /wheel /src \
    && /build/bin/pip --python /opt/digitstrip/bin/python install --no-compile --no-deps --no-index \
        /wheel/*.whl \
    && rm /opt/digitstrip/bin/digitstrip-train \
    && /opt/digitstrip/bin/python -m compileall -q --invalidation-mode unchecked-hash \
        /opt/digitstrip/lib


FROM python
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Digitstrip" \
    org.opencontainers.image.description="Reads handwritten digit strings; serves over gRPC and HTTP." \
    org.opencontainers.image.version="$VERSION" \
    org.opencontainers.image.revision="$REVISION" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.base.name="debian:bookworm-slim"
COPY --from=build /opt/digitstrip /opt/digitstrip
# Not the loopback default: a container's port is reached from outside.
ENV PATH=/opt/digitstrip/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    DIGITSTRIP_LISTEN=0.0.0.0:50051
# By number, so that a cluster can see that it is not root; the number owns nothing.
USER 10001:10001
WORKDIR /
EXPOSE 50051 8080 9464
HEALTHCHECK --interval=15s --timeout=5s --start-period=10s CMD ["digitstrip", "health"]
ENTRYPOINT ["digitstrip"]
CMD ["serve"]
