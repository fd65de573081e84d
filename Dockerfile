# pancascade on a CPU. Build: docker build -t pancascade .   Run: docker run --rm -v "$PWD:/data" pancascade segment /data/scan.nii.gz --out /data/result
FROM python:3.11-slim

ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1 MPLCONFIGDIR=/tmp/matplotlib XDG_CACHE_HOME=/home/reader/.cache
# The extras to install. With train among them torch comes from PyTorch's own index of CPU builds.
ARG EXTRAS=dicom,itk
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

RUN useradd --create-home --uid 1000 reader
COPY pyproject.toml README.md LICENSE /build/
COPY src /build/src
RUN pip install --extra-index-url "$TORCH_INDEX" "/build[$EXTRAS]" && rm -rf /build

USER reader
WORKDIR /data
HEALTHCHECK --interval=60s --timeout=20s CMD ["pancascade", "models"]
ENTRYPOINT ["pancascade"]
CMD ["--help"]
