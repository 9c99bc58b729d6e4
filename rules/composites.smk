rule composites:
    """Turn the scenes of a season into an evenly spaced series, all sites of the region."""
    input:
        scenes="<results>/imagery/{region}/{season}/{sensor}.zarr",
        catalogue="<results>/imagery/{region}/{season}/{sensor}.parquet",
    output:
        directory("<results>/composites/{series}/{region}/{season}/{sensor}.zarr"),
    log:
        "<logs>/composites/{series}/{region}/{season}/{sensor}.log",
    benchmark:
        "<benchmarks>/composites/{series}/{region}/{season}/{sensor}.tsv"
    wildcard_constraints:
        sensor="sentinel2",
    conda:
        "../envs/geo.yaml"
    threads: 4  # blocks of pixels are independent; more threads than memory channels only wait
    resources:
        mem=lambda wildcards, attempt: f"{4 * attempt} GiB",
        runtime="1h",
    params:
        settings=entry("series"),
        season=entry("seasons"),
        code=room_code("composites"),
    shell:
        r"""
        python -m cropflow composites \
            --scenes {input.scenes:q} --catalogue {input.catalogue:q} \
            --settings {params.settings:q} --season {params.season:q} --workers {threads} \
            --output {output:q} 2>{log:q}
        """
