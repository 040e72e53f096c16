# The studio in a container, for an NVIDIA card (the default) or for the CPU alone:
#   docker build -t creative-studio .
#   docker run --rm --gpus all -p 127.0.0.1:7860:7860 -v studio-data:/data creative-studio
#   docker build --build-arg ACCELERATOR=cpu -t creative-studio:cpu .
#   docker run --rm -p 127.0.0.1:7860:7860 -v studio-data:/data creative-studio:cpu
FROM python:3.12-slim

# cuda: PyTorch's wheels bring CUDA themselves, the host needs only the driver and the NVIDIA container toolkit.
# cpu: PyTorch's CPU wheels, about 5 GB less.
ARG ACCELERATOR=cuda

RUN useradd --create-home --uid 1000 studio && install -d -o studio -g studio /data
WORKDIR /app

COPY requirements.lock .
RUN --mount=type=cache,target=/root/.cache/pip \
    if [ "$ACCELERATOR" = cpu ]; then \
        grep -E '^(torch|torchvision)==' requirements.lock > torch.txt \
        && pip install --no-deps --index-url https://download.pytorch.org/whl/cpu -r torch.txt \
        && sed -E -i '/^(torch|torchvision|triton|nvidia-|cuda-)/d' requirements.lock \
        && rm torch.txt; \
    fi \
    && pip install --no-deps -r requirements.lock

COPY --chown=studio:studio LICENSE app.py ./
COPY --chown=studio:studio assets assets
COPY --chown=studio:studio studio studio

USER studio
ENV PYTHONUNBUFFERED=1 \
    STUDIO_HOST=0.0.0.0 \
    STUDIO_ALLOWED_HOSTS=localhost \
    STUDIO_PORT=7860 \
    STUDIO_DATA_DIR=/data \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
VOLUME /data
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['STUDIO_PORT'] + '/healthz', timeout=4)"]
STOPSIGNAL SIGTERM
CMD ["python", "app.py"]
