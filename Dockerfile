# syntax=docker/dockerfile:1
# The app with the embedded model. Its file system may be read-only; what it writes goes to /data and /tmp:
#   docker run --read-only --tmpfs /tmp -v catdog-data:/data -p 7860:7860 IMAGE
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# Without pip: the image installs nothing any more.
RUN python3 -m venv --without-pip /app/venv
WORKDIR /build
COPY requirements.txt deploy/prune.py ./
RUN python3 -m venv pip \
    && pip/bin/pip --python /app/venv/bin/python install --no-compile --require-hashes -r requirements.txt \
    && python3 prune.py /app/venv

# Retraining, as deploy/kubernetes does it every night: `docker build --target train -t catdog-train .`
# Not part of the app's image. TORCH_INDEX names a package index with a smaller torch, such as one without CUDA.
FROM ${PYTHON_IMAGE} AS train
ARG TORCH_INDEX=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY requirements-train.txt ./
RUN python3 -m venv /app/venv \
    && grep -E '^torch(vision)?==' requirements-train.txt > torch.txt \
    && if [ -n "$TORCH_INDEX" ]; then /app/venv/bin/pip install --no-compile --index-url "$TORCH_INDEX" -r torch.txt; fi \
    && /app/venv/bin/pip install --no-compile -r requirements-train.txt
WORKDIR /app
COPY model_card.md LICENSE ./
COPY catdog catdog
COPY feedback feedback
COPY train train
ENV PATH=/app/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
ENTRYPOINT ["python3", "-m", "train"]

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="catdog" \
      org.opencontainers.image.description="An image classifier that learns from its mistakes" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 catdog \
    && useradd --uid 10001 --gid catdog --no-create-home --home-dir /data --shell /usr/sbin/nologin catdog \
    && install -d -o catdog -g catdog /data
COPY --from=packages /app/venv /app/venv
WORKDIR /app
COPY LICENSE app.py ./
COPY catdog catdog
COPY feedback feedback
COPY web web
COPY devhub devhub
COPY model/metadata.json model/metadata.json
COPY model/onnx/model.onnx model/onnx/model.onnx
# Nobody can write where the code is, so Python is not to try; the Hub's cache outlives the container beside the journal.
ENV PATH=/app/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    CATDOG_DATA_DIR=/data \
    HF_HOME=/data/huggingface \
    GRADIO_TEMP_DIR=/tmp/gradio
USER 10001:10001
VOLUME /data
EXPOSE 7860
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["sh", "-c", "python3 -c \"import urllib.request as u; u.urlopen('http://127.0.0.1:${CATDOG_PORT:-7860}/health', timeout=4)\""]
ENTRYPOINT ["python3", "app.py"]
