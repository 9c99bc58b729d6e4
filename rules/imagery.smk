rule imagery:
    """Find the scenes of a season and write them to the site grids."""
    input:
        source=lambda wildcards: simulated_or(
            imagery_entry(wildcards)["path"], imagery_entry(wildcards)["simulation"], "archive"
        ),
        sites="<results>/regions/{region}/sites.parquet",
    output:
        scenes="<results>/imagery/{region}/{season}/scenes.parquet",
        sentinel2=directory("<results>/imagery/{region}/{season}/sentinel2.zarr"),
    log:
        "<logs>/imagery/{region}/{season}/export.log",
    benchmark:
        "<benchmarks>/imagery/{region}/{season}/export.tsv"
    conda:
        "../envs/geo.yaml"
    resources:
        mem="2 GiB",
        runtime="4h",
    params:
        settings=lambda wildcards: as_json(imagery_entry(wildcards)),
        season=entry("seasons"),
    shell:
        r"""
        python -m cropflow imagery export \
            --source {input.source:q} --sites {input.sites:q} \
            --settings {params.settings:q} --season {params.season:q} \
            --scenes {output.scenes:q} --output {output.sentinel2:q} 2>{log:q}
        """
